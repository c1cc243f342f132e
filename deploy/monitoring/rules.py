"""The form of alerts and recorded series, and of the files that Prometheus reads them from."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

_MADE: Final = "# Made by `make monitoring` out of deploy/monitoring; change it there.\n"
_WIDTH: Final = 120


class Severity(StrEnum):
    """Whom an alert calls, and when."""

    PAGE = "page"  # somebody, at once: users or data suffer
    TICKET = "ticket"  # somebody, in working hours


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that a person has to know of.

    Args:
        name: Its name; those of one name differ in severity and share a runbook.
        expression: In PromQL; it holds while this has samples.
        severity: Whom it calls.
        summary: One sentence, a template of Prometheus.
        description: What it means, in a sentence or two.
        wait: How long it has to hold, such as `5m`; empty: not at all.
    """

    name: str
    expression: str
    severity: Severity
    summary: str
    description: str
    wait: str = ""

    @property
    def runbook(self) -> str:
        """The page that says what to do, below the project's folder."""
        return f"docs/runbooks/{self.name}.md"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A series that Prometheus computes as it goes.

    Args:
        name: Its name; it has no labels.
        expression: In PromQL.
    """

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rules in one file.

    Args:
        name: Name of the file, and with `feed-` before it of the group.
        rules: In order; later ones may ask for what earlier ones record.
    """

    name: str
    rules: tuple[Alert | Recorded, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The alerts among the rules."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))


def rule_file(group: Group) -> str:
    """Returns the text of the file of a group."""
    content = {"groups": [{"name": f"feed-{group.name}", "rules": [_rule(rule) for rule in group.rules]}]}
    return _MADE + dumped(content)


def scrape_file(targets: Iterable[tuple[str, str]]) -> str:
    """Returns the configuration of a Prometheus that asks each job at a `host:port`."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets]
    head = {"global": {"scrape_interval": "15s", "evaluation_interval": "15s"}, "rule_files": ["rules/*.yml"]}
    return _MADE + dumped({**head, "scrape_configs": jobs})


def dumped(content: object) -> str:
    """Returns YAML, in the order of the content."""
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=_WIDTH))


def _rule(rule: Alert | Recorded) -> dict[str, Any]:
    if isinstance(rule, Recorded):
        return {"record": rule.name, "expr": rule.expression}
    return {
        "alert": rule.name,
        "expr": rule.expression,
        **({"for": rule.wait} if rule.wait else {}),
        "labels": {"severity": rule.severity.value},
        "annotations": {"summary": rule.summary, "description": rule.description, "runbook": rule.runbook},
    }
