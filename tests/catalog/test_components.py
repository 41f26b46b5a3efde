"""Pinned components, their bounds, and Kubernetes minors."""

import re
from pathlib import Path

import pytest

from stoker.catalog.components import (
    Component,
    ComponentVersion,
    compatible,
    component,
    components,
    dcgm_counters,
    pick,
)
from stoker.catalog.kubernetes import Feature, Stage, feature_state, kubernetes_minor, kubernetes_minors
from stoker.errors import UnknownNameError


def _made(*versions: ComponentVersion) -> Component:
    return Component("made", "", "", "", "", versions, (), "", 1, 0)


def test_every_version_is_an_exact_pin_with_a_source() -> None:
    for item in components():
        for version in item.versions:
            assert re.fullmatch(r"v?\d+\.\d+\.\d+", version.version), item.name
            assert version.source, item.name


def test_every_component_comes_from_a_chart_or_a_manifest() -> None:
    assert [] == [item.name for item in components() if bool(item.chart) == bool(item.manifest)]


def test_dependencies_exist_and_stand_in_an_earlier_wave() -> None:
    late = [
        (item.name, other)
        for item in components()
        for other in item.depends_on
        if component(other).wave >= item.wave
    ]
    assert [] == late


@pytest.mark.parametrize(
    ("minor", "version", "ok"),
    [
        ("1.32", "2.20.2", False),
        ("1.33", "2.20.2", True),
        ("1.35", "2.20.2", True),
        ("1.36", "2.21.0", True),
        ("1.37", "2.21.0", False),
    ],
)
def test_keda_is_picked_by_its_published_matrix(minor: str, version: str, ok: bool) -> None:  # noqa: FBT001
    assert (version, ok) == (pick("keda", minor).version, compatible("keda", minor).ok)


def test_a_minor_outside_the_bounds_is_named_in_the_message() -> None:
    assert "keda 2.21.0 is for Kubernetes 1.34 to 1.36; 1.37 is outside" == compatible("keda", "1.37").message


def test_a_missing_bound_excludes_nothing_and_stays_visible() -> None:
    verdict = compatible(_made(ComponentVersion("1.0.0", "1.34", None, "s")), "1.40")
    assert (True, ("1.34", None)) == (verdict.ok, verdict.tested)
    assert not compatible(_made(ComponentVersion("1.0.0", "1.34", None, "s")), "1.33").ok


def test_a_version_that_is_not_pinned_is_not_vouched_for() -> None:
    assert not compatible("keda", "1.35", "2.13.0").ok


def test_a_leading_v_does_not_matter_to_a_chosen_version() -> None:
    assert compatible("kserve", "1.35", "0.20.0").ok


def test_an_unknown_component_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        component("kedaa")
    assert "keda" in caught.value.suggestions


def test_every_counter_is_in_the_fact_check_or_the_exporters_own_list(shared: Path) -> None:
    facts = (shared / "facts" / "facts.md").read_text()
    for name in ("DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_PROF_DRAM_ACTIVE"):
        assert name in facts
        assert name in {counter.name for counter in dcgm_counters()}


def test_counter_lines_have_three_fields() -> None:
    assert [] == [counter.name for counter in dcgm_counters() if counter.line.count(",") != 2]


def test_supported_minors_run_from_133_to_137() -> None:
    assert ["1.33", "1.34", "1.35", "1.36", "1.37"] == [item.minor for item in kubernetes_minors()]


def test_the_scheduler_image_is_a_patch_of_its_minor() -> None:
    for item in kubernetes_minors():
        assert re.fullmatch(rf"registry\.k8s\.io/kube-scheduler:v{item.minor}\.\d+", item.scheduler_image)


@pytest.mark.parametrize(
    ("feature", "minor", "stage", "on"),
    [
        (Feature.DYNAMIC_RESOURCE_ALLOCATION, "1.33", Stage.BETA, False),
        (Feature.DYNAMIC_RESOURCE_ALLOCATION, "1.34", Stage.GA, True),
        (Feature.DRA_EXTENDED_RESOURCE, "1.33", Stage.ABSENT, False),
        (Feature.DRA_EXTENDED_RESOURCE, "1.35", Stage.ALPHA, False),
        (Feature.DRA_EXTENDED_RESOURCE, "1.36", Stage.BETA, True),
        (Feature.IMAGE_VOLUME, "1.34", Stage.BETA, False),
        (Feature.IMAGE_VOLUME, "1.36", Stage.GA, True),
        (Feature.SIDECAR_CONTAINERS, "1.33", Stage.GA, True),
    ],
)
def test_features_by_minor(feature: Feature, minor: str, stage: Stage, on: bool) -> None:  # noqa: FBT001
    state = feature_state(feature, minor)
    assert (stage, on) == (state.stage, state.on)


def test_dra_is_served_exactly_where_it_is_on() -> None:
    for item in kubernetes_minors():
        assert bool(item.dra_versions) == item.feature(Feature.DYNAMIC_RESOURCE_ALLOCATION).on


def test_a_patch_version_is_read_as_its_minor() -> None:
    assert "1.35" == kubernetes_minor("v1.35.2").minor


def test_an_unsupported_minor_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        kubernetes_minor("1.32")
