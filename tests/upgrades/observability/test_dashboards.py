"""Dashboards: every query parses and reads something that exists, and no panel lies over another."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.schemas.validate import validate_object

from stoker.catalog.components import dcgm_counters
from stoker.platform.load import load, loads
from stoker.promql import metric_names
from stoker.sizing.resolve import resolve
from stoker.upgrades.observability import compile_observability, rule_groups
from stoker.upgrades.observability.cluster_alerts import KUBE_STATE_METRICS
from stoker.upgrades.observability.dashboards import compile_dashboards, dashboards

GUIDE = Path(__file__).resolve().parents[3] / "examples" / "guide.yaml"
PLATFORM = resolve(load(GUIDE))
BOARDS = dashboards(PLATFORM)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_reads_a_series_that_exists(name: str) -> None:
    recorded = {
        rule["record"] for group in rule_groups(PLATFORM) for rule in group["rules"] if "record" in rule
    }
    known = recorded | set(KUBE_STATE_METRICS) | {counter.name for counter in dcgm_counters()}
    known |= {"up", "keda_scaler_detail_errors_total"}

    for panel in panels(BOARDS[name]):
        for target in panel["targets"]:
            assert set() == metric_names(target["expr"]) - known, panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_units_meaning_and_a_place_of_their_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels(BOARDS[name]):
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
    ids = [panel["id"] for panel in BOARDS[name]["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_guides_four_questions_are_rows() -> None:
    rows = [panel["title"] for panel in BOARDS["serving"]["panels"] if panel["type"] == "row"]

    assert [
        "What is my time to first token?",
        "Is the KV cache near saturation?",
        "Are requests queueing?",
        "Which model takes the most GPU time per request?",
    ] == rows[:4]


def test_names_are_stable_and_short_enough_for_grafana() -> None:
    again = dashboards(resolve(load(GUIDE)))
    for name, board in BOARDS.items():
        assert board["uid"] == again[name]["uid"]
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", board["uid"])


def test_the_sidecar_finds_them_and_a_server_takes_them() -> None:
    for item in compile_dashboards(PLATFORM):
        assert item.object["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert [] == validate_object(item.object, "1.35")
        (text,) = item.object["data"].values()
        assert json.loads(text)["schemaVersion"] >= 39


def test_there_are_none_where_grafana_is_left_out() -> None:
    text = GUIDE.read_text().replace(
        "  prometheus: operator\n", "  prometheus: operator\n  grafana: {enabled: false}\n"
    )
    found = [item.key[1] for item in compile_observability(resolve(loads(text)))]

    assert "ConfigMap" not in found
