"""Verdicts of week 1, from what was seen alone."""

import pytest
from tests.rollout.proof import platform

from stoker.rollout.evidence import Verdict
from stoker.rollout.gates.nodes import GpuNode, PodOnNode
from stoker.rollout.gates.pods import Fate, taint_counts
from stoker.rollout.gates.refusals import Refusal, Refuser
from stoker.rollout.gates.week_1.admission import Asked, judge_limit, judge_quota
from stoker.rollout.gates.week_1.gpus import NodeSeen
from stoker.rollout.gates.week_1.gpus import judge as judge_gpus
from stoker.rollout.gates.week_1.preemption import Seen, choose_stage, chunks
from stoker.rollout.gates.week_1.preemption import judge as judge_preemption
from stoker.rollout.gates.week_1.spread import Spread
from stoker.rollout.gates.week_1.spread import judge as judge_spread
from stoker.rollout.gates.week_1.taints import Probed, judge_tolerated, judge_untolerated

PASSED, FAILED, UNCLEAR = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
GPU = "nvidia.com/gpu"
TAINTED = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
FULL = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
# Before 1.36 each taint was named.
NAMED = (
    "0/5 nodes are available: 2 node(s) had untolerated taint {nvidia.com/gpu: present}, 1 node(s) had untolerated taint "
    "{dedicated: x}, 2 Insufficient cpu. preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling."
)


def node(name: str = "n", pool: str = "a", has: int = 8, may: int = 8, *, ready: bool = True) -> NodeSeen:
    wanted = {GPU: 8} if pool else {}
    return NodeSeen(name, pool, wanted, {GPU: has}, {GPU: may}, ready, "no device-plugin pod on the node")


@pytest.mark.parametrize(
    ("nodes", "verdict", "words"),
    [
        pytest.param([node("n-0"), node("n-1")], PASSED, "all 2 GPU nodes show their GPUs, 16 in all", id="all"),
        pytest.param([], UNCLEAR, "no GPU node", id="none is there"),
        pytest.param(
            [node("n-0"), node("n-1", has=0, may=0)], FAILED, "n-1 shows no GPU resource (no device-plugin", id="no plugin"
        ),
        pytest.param([node("n-0"), node("n-1", has=4, may=4)], FAILED, "n-1 shows 4 nvidia.com/gpu instead of 8", id="few"),
        pytest.param([node("n-0"), node("n-1", may=7)], FAILED, "only 7 may be used", id="one is not healthy"),
        pytest.param([node("n-0"), node("n-1", pool="", has=0, may=0)], FAILED, "n-1 shows no", id="of no pool, none shown"),
        pytest.param([node("n-0")], UNCLEAR, "only 1 of 2 nodes of pool a", id="one is missing"),
        pytest.param([node("n-0"), node("n-1", ready=False)], UNCLEAR, "not Ready", id="one is down"),
        pytest.param([node("n-0", has=0, may=0)], FAILED, "shows no GPU", id="a bad one outweighs a missing one"),
    ],
)  # fmt: skip
def test_gpus_are_visible_on_every_node(nodes: list[NodeSeen], verdict: Verdict, words: str) -> None:
    judgement = judge_gpus(nodes, {"a": 2})

    assert judgement.verdict is verdict
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        (TAINTED, (1, 3)),
        (FULL, (0, 3)),
        (NAMED, (3, 5)),
        ("binding volumes: context deadline exceeded", (0, -1)),
    ],
)  # fmt: skip
def test_the_scheduler_s_words_are_counted(message: str, counts: tuple[int, int]) -> None:
    assert counts == taint_counts(message)


@pytest.mark.parametrize(
    ("probed", "verdict", "words"),
    [
        pytest.param(Probed("a", "n", Fate("Pending", "", TAINTED)), PASSED, "the taint keeps", id="the taint"),
        pytest.param(Probed("a", "n", Fate("Running", "n")), FAILED, "was placed on a: n", id="placed"),
        pytest.param(Probed("a", "n", Fate("Pending", "", TAINTED), ("m",)), FAILED, "a: m", id="another has none"),
        pytest.param(Probed("a", "n", Fate("Pending", "", FULL)), UNCLEAR, "another reason", id="another reason"),
        pytest.param(Probed("a", "n", Fate("Pending", "", "")), UNCLEAR, "has not looked", id="no scheduler"),
        pytest.param(Probed("a", ""), UNCLEAR, "no node is Ready", id="no room"),
        pytest.param(Probed("a", "n", Fate("Running", "n"), (), True), UNCLEAR, "gave the pod a toleration", id="helped"),
    ],
)  # fmt: skip
def test_an_untolerated_pod_stays_out_because_of_the_taint(
    probed: Probed, verdict: Verdict, words: str
) -> None:
    judgement = judge_untolerated([Probed("b", "n", Fate("Pending", "", TAINTED)), probed])

    assert judgement.verdict is verdict
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("probed", "verdict", "words"),
    [
        pytest.param(Probed("a", "n", Fate("Running", "n")), PASSED, "run on nodes of b, a", id="runs"),
        pytest.param(
            Probed("a", "n", Fate("Pending", "", TAINTED)),
            FAILED,
            "its pool does not name",
            id="another taint",
        ),
        pytest.param(
            Probed("a", "n", Fate("Pending", "n", "sandbox")), FAILED, "placed on n but Pending", id="stuck"
        ),
        pytest.param(Probed("a", "n", Fate("Pending", "n", "x", True)), UNCLEAR, "image", id="no registry"),
        pytest.param(Probed("a", "n", Fate("Pending", "", FULL)), UNCLEAR, "not placed", id="full"),
        pytest.param(Probed("a", ""), UNCLEAR, "no node is Ready", id="no room"),
    ],
)
def test_a_tolerated_pod_runs(probed: Probed, verdict: Verdict, words: str) -> None:
    judgement = judge_tolerated([Probed("b", "n", Fate("Running", "n")), probed])

    assert judgement.verdict is verdict
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("placed", "free", "verdict"),
    [
        pytest.param({"a": 1, "b": 1}, (), PASSED, id="a node each"),
        pytest.param({"a": 1, "b": 1}, ("c",), PASSED, id="a node each, another free"),
        pytest.param({"a": 2}, ("b",), FAILED, id="together though another has room"),
        pytest.param({"a": 2, "b": 1}, ("c",), FAILED, id="two together though a third has room"),
        pytest.param({"a": 2, "b": 1}, (), PASSED, id="fewer nodes than replicas, one more on one"),
        pytest.param({"a": 3, "b": 1}, (), FAILED, id="fewer nodes than replicas, two more on one"),
        pytest.param({"a": 2}, (), UNCLEAR, id="only one node had room"),
        pytest.param({"a": 1}, ("b",), UNCLEAR, id="one replica"),
        pytest.param({}, (), UNCLEAR, id="none"),
    ],
)
def test_replicas_are_spread(placed: dict[str, int], free: tuple[str, ...], verdict: Verdict) -> None:
    assert verdict is judge_spread([Spread("m", "its pods", placed, free)]).verdict


def asked(by: Refuser, control: str = "") -> list[Asked]:
    return [Asked("t", "9 GPUs", Refusal(by, "x", "words"), control)]


@pytest.mark.parametrize(
    ("by", "quota", "limit"),
    [
        (Refuser.QUOTA, PASSED, FAILED),
        (Refuser.LIMIT_RANGE, UNCLEAR, PASSED),
        (Refuser.POLICY, UNCLEAR, PASSED),
        (Refuser.NOBODY, FAILED, FAILED),
        (Refuser.POD_SECURITY, UNCLEAR, UNCLEAR),
        (Refuser.PRIORITY, UNCLEAR, UNCLEAR),
        (Refuser.OTHER, UNCLEAR, UNCLEAR),
        (Refuser.NOT_ASKED, UNCLEAR, UNCLEAR),
    ],
)
def test_who_refused_decides(by: Refuser, quota: Verdict, limit: Verdict) -> None:
    assert quota is judge_quota(asked(by)).verdict
    assert limit is judge_limit(asked(by)).verdict


def test_a_limit_that_refuses_everything_shows_nothing() -> None:
    assert UNCLEAR is judge_limit(asked(Refuser.POLICY, control="no pods today")).verdict


RUNS, WAITS = Fate("Running", "n"), Fate("Pending", "", FULL)


@pytest.mark.parametrize(
    ("seen", "verdict", "words"),
    [
        pytest.param(Seen("n", RUNS, ("t/p",), (), WAITS, RUNS), PASSED, "took a training pod's GPU", id="as wanted"),
        pytest.param(Seen("n", WAITS, ()), FAILED, "did not get", id="nobody yields"),
        pytest.param(Seen("n", Fate("Pending"), ()), UNCLEAR, "has not looked", id="no scheduler"),
        pytest.param(Seen("n", RUNS, (), (), WAITS, RUNS), UNCLEAR, "free by itself", id="somebody left"),
        pytest.param(Seen("n", RUNS, ("t/p",), ("u/q",), WAITS, RUNS), FAILED, "u/q", id="a user's pod was hit"),
        pytest.param(Seen("n", RUNS, ("t/p",), (), RUNS, Fate()), FAILED, "took the production pod", id="the reverse"),
        pytest.param(
            Seen("n", RUNS, ("t/p",), (), WAITS, Fate("Running", "n", "", False, True)), FAILED, "took the", id="doomed"
        ),
        pytest.param(Seen("n", RUNS, ("t/p",), (), RUNS, RUNS), UNCLEAR, "was not refused", id="room for both"),
        pytest.param(Seen("n", RUNS, ("t/p",), (), None, RUNS, "quota"), UNCLEAR, "quota", id="not tried"),
    ],
)  # fmt: skip
def test_production_preempts_training_and_not_the_reverse(seen: Seen, verdict: Verdict, words: str) -> None:
    judgement = judge_preemption(seen)

    assert judgement.verdict is verdict
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("free", "most", "pods"),
    [(1, None, [1]), (8, None, [7, 1]), (8, 4, [4, 3, 1]), (3, 1, [1, 1, 1]), (5, 4, [4, 1])],
)
def test_a_node_is_filled_by_few_pods_and_the_last_has_one_gpu(
    free: int, most: int | None, pods: list[int]
) -> None:
    assert pods == chunks(free, most)


PROOF = platform()
LOW = PROOF.tenants["ai-training"]


def gpu_node(name: str, *pods: PodOnNode, ready: bool = True) -> GpuNode:
    offers = {GPU: 8, "cpu": 96_000, "memory": 2**40, "pods": 110}
    return GpuNode(name, "a100", offers, offers, ready, ready, (), pods)


def on_node(gpus: int, priority: int) -> PodOnNode:
    return PodOnNode("ns", f"p{priority}", "uid", priority, {GPU: gpus} if gpus else {"cpu": 100})


@pytest.mark.parametrize(
    ("nodes", "left", "chosen", "words"),
    [
        pytest.param(
            [gpu_node("a"), gpu_node("b", on_node(6, 1_000_000))], (16, 5), "b", "", id="the fewest free GPUs"
        ),
        pytest.param([gpu_node("a", on_node(8, 0))], (16, 5), "", "no nvidia.com/gpu is free", id="full"),
        pytest.param(
            [gpu_node("a", on_node(2, 10_000))],
            (16, 5),
            "",
            "ns/p10000 would be preempted",
            id="a user's pod is weaker",
        ),
        pytest.param(
            [gpu_node("a", on_node(2, 50_000))], (16, 5), "a", "", id="a user's older pod of the same rank"
        ),
        pytest.param([gpu_node("a", on_node(0, 0))], (16, 5), "a", "", id="a daemon without GPUs"),
        pytest.param([gpu_node("a")], (7, 5), "", "training tenant's quota leaves 7", id="quota of training"),
        pytest.param(
            [gpu_node("a")], (16, 0), "", "production tenant's quota leaves 0", id="quota of production"
        ),
        pytest.param([gpu_node("a")], (None, None), "a", "", id="no quotas"),
        pytest.param([gpu_node("a", ready=False)], (16, 5), "", "not Ready", id="down"),
    ],
)
def test_only_a_node_on_which_a_probe_would_yield_is_filled(
    nodes: list[GpuNode], left: tuple[int | None, int | None], chosen: str, words: str
) -> None:
    stage, why = choose_stage(nodes, PROOF, LOW, {GPU: left})

    assert chosen == (stage.node if stage else "")
    assert words in "; ".join(why)
