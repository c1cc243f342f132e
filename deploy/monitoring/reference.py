"""The list of all metrics; and whether documents explain each with its labels, and none that is not there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.monitoring.catalogue import Metric

_HEAD: Final = """# All metrics

Made by `make monitoring` out of what the processes register. [metrics.md](metrics.md) and [nightly.md](nightly.md) say what they mean; [runbooks](runbooks/README.md) what to do about them. Prometheus adds `job` and `instance`, a bridge with several workers `worker`.

| metric | type | unit | labels | processes | help |
|---|---|---|---|---|---|
"""  # noqa: E501  # a paragraph of Markdown is one line

# `name`, `name` | `label`, `label` | meaning
_ROW: Final = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|([^|]*)\|", re.MULTILINE)
_QUOTED: Final = re.compile(r"`(\w+)`")
_NAME: Final = re.compile(
    r"\b(?:feed_(?:bridge|scorer|interactions|sink|eventlog|insights|trainer|process|http)|grpc_server)_\w+"
)


def page(metrics: Iterable[Metric]) -> str:
    """Returns the list of all metrics, as a document."""
    return "".join((_HEAD, *map(_line, metrics)))


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


def _line(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    processes = ", ".join(metric.processes)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {processes} | {metric.text} |\n"
