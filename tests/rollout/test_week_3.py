"""Week 3's gates on a lab with a real Prometheus behind KEDA: they pass, and fail where a fault is seeded."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.lab.monitoring.world import needs_prometheus
from tests.lab.running.conftest import stoker
from tests.rollout.observed import apply_platform, lab_up, measured, platform, seeded, told, wait_ready

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object, Ref
from stoker.rollout.evidence import Verdict
from stoker.rollout.gates.week_3.scale import SCALE_DOWN, SCALE_UP
from stoker.rollout.gates.week_3.tiers import BATCH_TO_ZERO, PRODUCTION_WARM
from stoker.rollout.pods import ready_pods
from stoker.rollout.probes import PROBE_LABEL

pytestmark = needs_prometheus

SPEED = 20
PLATFORM = platform()
SCALER = Ref("keda.sh/v1alpha1", "ScaledObject", "ai-production", "mistral")
BATCH = Ref("keda.sh/v1alpha1", "ScaledObject", "ai-batch", "nightly")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("week3")
    with lab_up(folder, SPEED) as cluster:
        stoker("lab", "fault", "backlog", "kafka/documents", "--value", 0, "--state", folder)
        apply_platform(cluster, PLATFORM)
        wait_ready(cluster, PLATFORM, "mistral")
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture
def cluster(lab: Path) -> Iterator[Cluster]:
    with open_cluster(kubeconfig=str(lab / "kubeconfig")) as found:
        yield found


def guides(**bounds: int) -> Callable[[Object], None]:
    """The guide's scaler: a metric that no engine has, so its answer is always empty."""

    def change(scaler: Object) -> None:
        query = 'sum(vllm_num_requests_waiting{namespace="ai-production"})'
        address = scaler["spec"]["triggers"][0]["metadata"]["serverAddress"]
        scaler["spec"] |= bounds | {
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {"serverAddress": address, "query": query, "threshold": "3"},
                }
            ]
        }
        scaler["spec"].pop("fallback", None)

    return change


def bounds(least: int, most: int) -> Callable[[Object], None]:
    def change(scaler: Object) -> None:
        scaler["spec"] |= {"minReplicaCount": least, "maxReplicaCount": most}

    return change


@pytest.mark.slow
def test_the_batch_tier_goes_to_zero_and_wakes_unless_its_minimum_is_one(cluster: Cluster) -> None:
    good = measured(cluster, PLATFORM, BATCH_TO_ZERO)
    with seeded(cluster, BATCH, bounds(1, 2)):
        bad = measured(cluster, PLATFORM, BATCH_TO_ZERO, zero_within_seconds=250)

    assert Verdict.PASSED is good.verdict, told(good)
    assert good.judgement.measured["replicas_at_least"] == 0
    assert Verdict.FAILED is bad.verdict, told(bad)
    assert "1 replicas after" in bad.judgement.reason


@pytest.mark.slow
def test_production_that_may_go_to_zero_does_not_stay_warm(cluster: Cluster) -> None:
    with seeded(cluster, SCALER, guides(minReplicaCount=0, cooldownPeriod=60)):
        result = measured(cluster, PLATFORM, PRODUCTION_WARM, observe_seconds=600)
    wait_ready(cluster, PLATFORM, "mistral")

    assert Verdict.FAILED is result.verdict, told(result)
    assert "mistral had 0 of 1 replicas ready" in result.judgement.reason


@pytest.mark.slow
def test_what_is_not_there_or_not_reached_is_inconclusive(cluster: Cluster) -> None:
    nowhere = {"mistral": "http://127.0.0.1:9"}
    no_batch = platform(**{"tier: batch": "tier: production", "min: 0, max: 2": "min: 1, max: 2"})

    for result in (
        measured(cluster, PLATFORM, SCALE_UP, nowhere),
        measured(cluster, PLATFORM, SCALE_DOWN, nowhere),
        measured(cluster, no_batch, BATCH_TO_ZERO),
        measured(cluster, PLATFORM, SCALE_UP, model="nobody"),
    ):
        assert Verdict.INCONCLUSIVE is result.verdict, told(result)


@pytest.mark.slow
def test_production_stays_warm_through_an_idle_quarter_of_an_hour(cluster: Cluster) -> None:
    result = measured(cluster, PLATFORM, PRODUCTION_WARM)

    assert Verdict.PASSED is result.verdict, told(result)
    assert result.judgement.measured["longest_idle_seconds"]["mistral"] >= 600


@pytest.mark.slow
def test_a_queue_takes_the_platforms_own_model_from_one_to_four_and_back_without_a_loss(
    cluster: Cluster,
) -> None:
    up = measured(cluster, PLATFORM, SCALE_UP)
    down = measured(cluster, PLATFORM, SCALE_DOWN)

    assert Verdict.PASSED is up.verdict, told(up)
    assert up.judgement.measured["seconds_to_wanted"] <= 120
    assert up.judgement.measured["seconds_to_ready"] > up.judgement.measured["seconds_to_wanted"]
    assert Verdict.PASSED is down.verdict, told(down)
    assert (0, True) == (
        down.judgement.measured["requests_lost"],
        down.judgement.measured["requests_sent"] > 50,
    )


@pytest.mark.slow
def test_a_model_made_for_the_gate_is_gone_afterwards(cluster: Cluster) -> None:
    result = measured(cluster, PLATFORM, SCALE_UP, probe=True)

    assert Verdict.PASSED is result.verdict, told(result)
    measured_on = next(one.data for one in result.evidence if one.what == "measured on")
    assert "gate-scaling" == measured_on["model"]
    for kind in ("Deployment", "Service"):
        api = "apps/v1" if kind == "Deployment" else "v1"
        assert not cluster.objects(api, kind, labels=PROBE_LABEL)


@pytest.mark.slow
def test_the_guides_metric_scales_nothing(cluster: Cluster) -> None:
    with seeded(cluster, SCALER, guides(minReplicaCount=1)):
        result = measured(cluster, PLATFORM, SCALE_UP)

    assert Verdict.FAILED is result.verdict, told(result)
    assert result.judgement.reason.startswith("1 replicas wanted after")


@pytest.mark.slow
def test_a_maximum_of_two_is_not_four(cluster: Cluster) -> None:
    with seeded(cluster, SCALER, bounds(1, 2)):
        result = measured(cluster, PLATFORM, SCALE_UP)

    assert (Verdict.FAILED, 2) == (result.verdict, result.judgement.measured["replicas_wanted_at_most"]), (
        told(result)
    )


@pytest.mark.slow
def test_without_keda_nothing_scales(tmp_path: Path) -> None:
    with lab_up(tmp_path / "bare", 60, "--no-crds", "--no-metrics") as bare:
        try:
            result = measured(bare, PLATFORM, SCALE_UP)
        finally:
            stoker("lab", "down", "--state", tmp_path / "bare")

    assert (Verdict.FAILED, True) == (result.verdict, "KEDA is not installed" in result.judgement.reason), (
        told(result)
    )


@pytest.mark.slow
def test_a_held_request_wakes_the_tier_and_is_answered(tmp_path: Path) -> None:
    """KEDA's HTTP add-on: its interceptor holds the request while the first replica loads."""
    folder, resolved = tmp_path / "held", platform("http-addon")
    with lab_up(folder, 30) as held:
        try:
            # Its broker's trigger stands beside: one that fails would keep KEDA from ever going to zero.
            stoker("lab", "fault", "backlog", "kafka/documents", "--value", 0, "--state", folder)
            apply_platform(held, resolved)
            wait_ready(held, resolved, "mistral")
            result = measured(held, resolved, BATCH_TO_ZERO)
            assert ready_pods(held, resolved.models["nightly"])
        finally:
            stoker("lab", "down", "--state", folder)

    assert (Verdict.PASSED, True) == (result.verdict, result.judgement.measured["request_answered"]), told(
        result
    )
