"""What `tune` varies and how it judges."""

import pytest

from stoker.errors import InputError
from stoker.platform.load import loads
from stoker.sizing.resolve import resolve
from stoker.twin.tuning import Knob, as_it_is, changes, knobs, pareto, parse_promises

PLATFORM = """
name: demo
pools:
  - {name: gpu, gpu: L40S, nodes: 2, gpusPerNode: 4}
models:
  - name: chat
    source: hf://meta-llama/Llama-3.1-8B-Instruct
    tier: batch
    replicas: {min: 0, max: 7}
    maxNumSeqs: 100
    autoscaling: {targetUtilization: 0.65}
"""


def test_every_knob_can_stay_as_it_is() -> None:
    space = knobs(resolve(loads(PLATFORM)))
    now = as_it_is(space)
    assert now["models.chat.replicas.min"] == 0
    assert now["models.chat.replicas.max"] == 7
    assert now["models.chat.maxNumSeqs"] == 100
    assert now["models.chat.autoscaling.targetUtilization"] == 0.65
    assert all(knob.now in knob.choices and len(knob.choices) > 1 for knob in space)
    assert changes(space, now) == {}


def test_no_width_is_tried_that_cannot_hold_the_weights() -> None:
    large = PLATFORM.replace("Llama-3.1-8B", "Llama-3.1-70B")
    # 131 GiB fit four L40S and nothing less.
    assert not [knob for knob in knobs(resolve(loads(large))) if knob.name.endswith("tensor")]
    (tensor,) = [knob for knob in knobs(resolve(loads(PLATFORM))) if knob.name.endswith("tensor")]
    assert tensor.choices == (1, 2, 4)


def test_replica_bounds_change_together_and_stay_in_order() -> None:
    space = (
        Knob("models.a.replicas.max", (1, 2, 3), 2),
        Knob("models.a.replicas.min", (1, 2, 3), 2),
        Knob("pools.p.nodes", (1, 2), 2),
    )
    values = {"models.a.replicas.max": 1, "models.a.replicas.min": 3, "pools.p.nodes": 2}
    assert changes(space, values) == {"models.a.replicas.max": 1, "models.a.replicas.min": 1}
    values["models.a.replicas.min"] = 2
    values["models.a.replicas.max"] = 3
    assert changes(space, values) == {"models.a.replicas.max": 3, "models.a.replicas.min": 2}


@pytest.mark.parametrize(
    ("text", "figure", "most"),
    [
        ("ttft_p95<2s", "ttft_p95_s", 2.0),
        (" tpot_p99_s <= 100ms ", "tpot_p99_s", 0.1),
        ("e2e_p50<1.5m", "e2e_p50_s", 90.0),
        ("cold_start_p50<60", "cold_start_p50_s", 60.0),
    ],
)
def test_promises_are_read(text: str, figure: str, most: float) -> None:
    (promise,) = parse_promises([text])
    assert promise.figure == figure
    assert promise.most == pytest.approx(most)


@pytest.mark.parametrize(
    "text",
    ["", "fast", "ttft_p95", "ttft_p95<", "ttft_p95<1.2.3s", "ttft_p95<.s", "ttft_p95<2%", "ttft_p95>2s", "ttft_p95<0s",
     "ttft_p95<-1s", "goodput<1", "requests<5", "preemptions<1s", "ttft_p95<nan"],
)  # fmt: skip
def test_what_is_no_promise_is_refused_with_the_figures_there_are(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_promises(["ttft_p95<2s", text])
    (problem,) = caught.value.problems
    assert problem.path == "--slo"
    assert problem.found == text
    assert "tpot_p95" in problem.wanted
    assert problem.fix.startswith("--slo ")


def test_a_misspelt_figure_is_told_the_nearest() -> None:
    with pytest.raises(InputError, match="tpot_p95<2s"):
        parse_promises(["tpt_p95<2s"])


def test_the_front_holds_what_no_other_beats() -> None:
    assert pareto([(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (2.0, 0.9), (9.0, 1.0)]) == [1, 3, 4]
