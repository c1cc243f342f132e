"""All files that are made of the catalogue, the alerts and the dashboards."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.monitoring import promql
from deploy.monitoring.alerts import groups
from deploy.monitoring.catalogue import Metric, Process, catalogue, processes
from deploy.monitoring.dashboards import DASHBOARDS, NOT_SHOWN
from deploy.monitoring.grafana import dashboard_file
from deploy.monitoring.reference import page, wrong
from deploy.monitoring.rules import Group, Recorded, rule_file, scrape_file

RULES: Final = Path("deploy/prometheus/rules")
SCRAPES: Final = Path("deploy/prometheus/prometheus.yml")
# Where `docker compose` gives each process a machine of its own, by its name.
COMPOSE_SCRAPES: Final = Path("deploy/docker/prometheus.yml")
DASHBOARD_FOLDER: Final = Path("deploy/grafana/dashboards")
RUNBOOKS: Final = Path("docs/runbooks/README.md")
REFERENCE: Final = Path("docs/metrics-reference.md")

# These documents explain the metrics, a row each.
_EXPLAINING: Final = ("docs/metrics.md", "docs/nightly.md")
_TABLE: Final = re.compile(r"(?<=<!-- made by `make monitoring` -->\n).*(?=<!-- end -->)", re.DOTALL)

# Series that Prometheus makes by itself.
_OWN_SERIES: Final[Mapping[str, frozenset[str]]] = {
    "up": frozenset({"job", "instance"}),
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
}


class Monitoring:
    """Everything that is known of metrics, alerts and dashboards."""

    def __init__(self) -> None:
        self.processes: Sequence[Process] = processes()
        self.metrics: Sequence[Metric] = catalogue(self.processes)
        self.groups: Sequence[Group] = groups([process.job for process in self.processes])

    @property
    def expressions(self) -> dict[str, str]:
        """What rules and panels ask for, by where it stands."""
        of_rules = {
            f"{group.name}: {rule.name}, {index}": rule.expression
            for group in self.groups
            for index, rule in enumerate(group.rules)
        }
        return of_rules | {
            f"{dashboard.name}: {index}": expression
            for dashboard in DASHBOARDS
            for index, expression in enumerate(dashboard.expressions)
        }

    def problems(self, root: Path) -> Iterator[str]:
        """Yields what is asked for and not there, what is there and shown nowhere, and what documents say wrongly."""
        known = self._series()
        for place, expression in self.expressions.items():
            yield from (f"{place}: {problem}" for problem in promql.unknown(expression, known))
        yield from self._unseen()
        documents = {path.relative_to(root): path.read_text("utf-8") for path in _documents(root)}
        tables = "\n".join(documents[Path(name)] for name in _EXPLAINING)
        yield from wrong(self.metrics, tables, documents)

    def files(self, root: Path) -> dict[Path, str]:
        """Returns the texts of all files, by their places below the project's folder."""
        runbooks = (root / RUNBOOKS).read_text("utf-8")
        return {
            **{RULES / f"{group.name}.yml": rule_file(group) for group in self.groups},
            **{DASHBOARD_FOLDER / f"{each.name}.json": dashboard_file(each) for each in DASHBOARDS},
            SCRAPES: scrape_file((each.job, f"localhost:{each.http_port}") for each in self.processes),
            COMPOSE_SCRAPES: scrape_file((each.job, f"{each.name}:{each.http_port}") for each in self.processes),
            RUNBOOKS: _TABLE.sub(lambda _: "".join(_alert_table(self.groups)), runbooks),
            REFERENCE: page(self.metrics),
        }

    def _series(self) -> dict[str, frozenset[str]]:
        exposed = {name: labels for metric in self.metrics for name, labels in metric.series().items()}
        rules = (rule for group in self.groups for rule in group.rules)
        recorded = {rule.name: frozenset[str]() for rule in rules if isinstance(rule, Recorded)}
        return {**_OWN_SERIES, **exposed, **recorded}

    def _unseen(self) -> Iterator[str]:
        seen = {name for each in DASHBOARDS for shown in each.expressions for name, _ in promql.asked(shown).series}
        for metric in self.metrics:
            if seen.isdisjoint(metric.series()) and metric.name not in NOT_SHOWN:
                yield f"{metric.name} is on no dashboard; a line in dashboards.py puts it there, or says why not"
        yield from (
            f"NOT_SHOWN: there is no {name}" for name in NOT_SHOWN.keys() - {each.name for each in self.metrics}
        )


def out_of_step(files: Mapping[Path, str], root: Path) -> list[str]:
    """Returns the files that are missing, stale or left over."""
    stale = {
        path for path, text in files.items() if not (root / path).exists() or (root / path).read_text("utf-8") != text
    }
    there = {path.relative_to(root) for folder in (RULES, DASHBOARD_FOLDER) for path in (root / folder).iterdir()}
    return sorted(str(path) for path in stale | (there - files.keys()))


def _documents(root: Path) -> Iterable[Path]:
    return (root / "README.md", *sorted((root / "docs").rglob("*.md")))


def _alert_table(found: Iterable[Group]) -> Iterator[str]:
    yield "| alert | calls | after | what it means |\n|---|---|---|---|\n"
    for group in found:
        for alert in group.alerts:
            link = f"[{alert.name}]({alert.name}.md)"
            yield f"| {link} | {alert.severity} | {alert.wait or 'at once'} | {alert.description} |\n"
