"""The form of dashboards, and of the files that Grafana reads them from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Final

# That of Grafana 12; newer ones bring older forms up to date as they read them.
_SCHEMA_VERSION: Final = 41
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
_STAT_SIZE: Final = (4, 4)
_GRAPH_SIZE: Final = (8, 8)
_ALERTS: Final = {
    "name": "Pages",
    "datasource": _SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"Feed.+", alertstate="firing", severity="page"}',
    "titleFormat": "{{alertname}}",
}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Args:
        expression: In PromQL; `$__rate_interval` is Grafana's.
        legend: Grafana's template of a series' name.
    """

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph, or a single figure.

    Args:
        title: What it shows.
        unit: As Grafana calls it, such as `s`, `bytes`, `reqps`, `percentunit`, `short`.
        queries: What is drawn.
        is_stat: A single figure instead of a graph.
        low: A figure is red below this; None: never.
        high: A figure is red from this on; None: never.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    is_stat: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Args:
        name: Name of the file, and with `feed-` before it of the dashboard in addresses.
        title: Its heading.
        text: What it answers.
        rows: What is on it.
    """

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]

    @property
    def expressions(self) -> tuple[str, ...]:
        """Everything that it asks for."""
        panels = (panel for row in self.rows for panel in row.panels)
        return (*(query.expression for panel in panels for query in panel.queries), str(_ALERTS["expr"]))


def dashboard_file(dashboard: Dashboard) -> str:
    """Returns the text of the file of a dashboard."""
    content = {
        "uid": f"feed-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": ["feed"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_ALERTS]},
        "links": [{"type": "dashboards", "title": "feed", "tags": ["feed"], "asDropdown": True, "keepTime": True}],
        "templating": {"list": [_variable()]},
        "panels": list(_placed(dashboard.rows)),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Numbers the panels and puts them side by side, from left to right, each row below the one before."""
    number, y = 0, 0
    for row in rows:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "gridPos": _at(0, y, _COLUMNS, 1), "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            width, wanted = _STAT_SIZE if panel.is_stat else _GRAPH_SIZE
            if x + width > _COLUMNS or height not in (0, wanted):
                x, y = 0, y + height
            number, height = number + 1, wanted
            yield {"id": number, **_panel(panel), "gridPos": _at(x, y, width, height)}
            x += width
        y += height


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "stat" if panel.is_stat else "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, **_look(panel)}, "overrides": []},
        "options": _figure() if panel.is_stat else _graph(),
        "targets": [_target(letter, query) for letter, query in zip(ascii_uppercase, panel.queries, strict=False)],
    }


def _look(panel: Panel) -> dict[str, Any]:
    if not panel.is_stat:
        return {"custom": {"fillOpacity": 10, "showPoints": "never"}}
    steps: list[dict[str, Any]] = [{"color": "green" if panel.low is None else "red", "value": None}]
    if panel.low is not None:
        steps.append({"color": "green", "value": panel.low})
    if panel.high is not None:
        steps.append({"color": "red", "value": panel.high})
    return {"thresholds": {"mode": "absolute", "steps": steps}}


def _figure() -> dict[str, Any]:
    return {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}


def _graph() -> dict[str, Any]:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _target(letter: str, query: Query) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": True,
    }
