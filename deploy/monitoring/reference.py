"""Holds the documents against the catalogue: every metric is explained with its labels, and none that is not there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.monitoring.catalogue import Metric

# `name`, `name` | `label`, `label` | meaning
_ROW: Final = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|([^|]*)\|", re.MULTILINE)
_QUOTED: Final = re.compile(r"`(\w+)`")
_NAME: Final = re.compile(
    r"\b(?:feed_(?:bridge|scorer|interactions|sink|eventlog|insights|trainer|process|http)|grpc_server)_\w+"
)


def wrong(metrics: Iterable[Metric], tables: str, pages: Mapping[Path, str]) -> Iterator[str]:
    """Yields what documents say of metrics and is not so.

    Args:
        metrics: The metrics that there are.
        tables: The text of the documents that explain each, in rows of tables.
        pages: All documents.
    """
    explained: dict[str, list[set[str]]] = {}
    for names, labels in _ROW.findall(tables):
        for name in _QUOTED.findall(names):
            explained.setdefault(name, []).append(set(_QUOTED.findall(labels)))
    known = {metric.name for metric in metrics}
    for metric in metrics:
        if metric.name not in explained:
            yield f"{metric.name} is not explained"
        elif explained[metric.name] != [set(metric.labels)]:
            yield f"{metric.name} has the labels {', '.join(metric.labels) or 'none'}, and is to be explained once"
    said = {series for metric in metrics for series in metric.series()} | known
    for path, text in pages.items():
        for name in sorted(set(_NAME.findall(text)) - said):
            # The common beginning of several, as grep is asked for them.
            if not name.endswith("_") or not any(each.startswith(name) for each in said):
                yield f"{path}: there is no {name}"
