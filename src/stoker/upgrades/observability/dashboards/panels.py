"""A small builder of Grafana dashboards: panels, rows and variables as plain mappings.

Schema: Grafana's dashboard JSON model, schemaVersion 39 (Grafana 11; later versions migrate it on load).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from stoker.upgrades.objects import Object

__all__ = ["Board", "Panel", "Row", "dashboard"]

_SCHEMA_VERSION: Final = 39
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title, description: what it shows, what it means and what to do.
        queries: legend -> PromQL.
        unit: Grafana unit id (``s``, ``percentunit``, ``short``, ``currencyUSD`` …).
        threshold: value above which it is red; None for none.
        kind: ``timeseries`` or ``stat``.
        empty: why its queries may have no data on a platform that is well; empty where they always have some.
    """

    title: str
    description: str
    queries: dict[str, str]
    unit: str
    threshold: float | None = None
    kind: str = "timeseries"
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels of equal width."""

    title: str
    panels: list[Panel] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Board:
    """What a dashboard shows; ``variables`` maps a name to the query that lists its values."""

    title: str
    rows: list[Row]
    variables: dict[str, str]

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


def dashboard(platform: str, board: Board) -> Object:
    """The dashboard as Grafana reads it. Panels never overlap."""
    title, rows, variables = board.title, board.rows, board.variables
    panels: list[Object] = []
    top = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
                "panels": [],
            }
        )
        width = _WIDTH // len(row.panels)
        for index, panel in enumerate(row.panels):
            place = {"x": index * width, "y": top + 1, "w": width, "h": 8}
            panels.append(_panel(len(panels) + 1, panel, place))
        top += 9
    uid = hashlib.sha256(f"{platform}/{title}".encode()).hexdigest()[:16]
    return {
        "uid": f"stoker-{uid}",
        "title": f"{title} ({platform})",
        "tags": ["stoker", platform],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {
            "list": [_datasource(), *(_variable(name, query) for name, query in variables.items())]
        },
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> Object:
    steps: list[Object] = [{"color": "green", "value": None}]
    if panel.threshold is not None:
        steps.append({"color": "red", "value": panel.threshold})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": expr,
                "legendFormat": legend,
                "editorMode": "code",
                "range": True,
            }
            for index, (legend, expr) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "line" if panel.threshold is not None else "off"}}
                if panel.kind == "timeseries"
                else {},
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        if panel.kind == "timeseries"
        else {"reduceOptions": {"calcs": ["lastNotNull"]}},
    }


def _datasource() -> Object:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }


def _variable(name: str, query: str) -> Object:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "hide": 0,
    }
