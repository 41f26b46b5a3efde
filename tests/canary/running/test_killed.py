"""`kill -9` at any request of a canary, of an abort and of a promotion: the next run goes on, and all ends as if nothing had been.

Fifty points in all. The lab is fast, so that a whole run is a few seconds of the wall.
"""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.canary.running import victim
from tests.canary.running.conftest import ENDS, Shop, within
from tests.conftest import REPOSITORY
from tests.lab.running.conftest import kubectl_of

pytestmark = pytest.mark.slow
MODE = "Deployment"
SPEED = 200
_OPTIONS = (
    *("--steps", "50,75,100", "--least", "1s", "--every", "100s", "--most", "20h", "--ready", "20h", "--pairs", "10"),
    *("--margin", "ttft=10", "--margin", "tpot=10", "--margin", "errors=0.3"),
)  # fmt: skip
_SHARES = (50, 75)
_BEFORE = (95, 5)  # as the platform file says
_MINE = {"name": "mine", "note": "the user's own"}
Point = tuple[str, int, str]


def points(seed: int, count: int, writes: int, every: int) -> list[Point]:
    """Which kind of request, the how manieth, and on which side of it; up to about what a run makes before it only waits."""
    rng = random.Random(seed)  # noqa: S311  # moments to kill at, the same at every run
    found = []
    for _ in range(count):
        kind = rng.choice(["write", "any"])
        found.append(
            (kind, rng.randint(1, writes if kind == "write" else every), rng.choice(["unsent", "answered"]))
        )
    return found


def attempt(shop: Shop, point: Point, *arguments: object) -> int:
    """Exit code of a command that kills itself at a point."""
    kind, number, moment = point
    command = [sys.executable, victim.__file__, kind, str(number), moment, str(shop.folder / "counts"), "canary"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=ENDS, cwd=REPOSITORY,
        env={**shop.environment(), "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}"},
    )  # fmt: skip
    assert done.returncode in {0, 1, -signal.SIGKILL}, done.stdout + done.stderr
    return done.returncode


def start(shop: Shop) -> tuple[object, ...]:
    return ("start", "llama", "-f", shop.platform, *_OPTIONS)


def record(shop: Shop) -> dict[str, Any] | None:
    """The state as it stands in the cluster."""
    found = shop.get("get", "configmap", "-l", "stoker.dev/canary=llama")["items"]
    assert len(found) <= 1
    return json.loads(found[0]["data"]["state.json"]) if found else None


def order(shop: Shop) -> dict[str, Any] | None:
    found = shop.get("get", "configmap", "--field-selector", "metadata.name=stoker-canary-llama-order")["items"]
    return found[0] if found else None


def theirs(shop: Shop) -> dict[str, Any]:
    """What is not the canary's to change, by kind and name: everything but pods and its record, less what it moves."""
    kinds = "configmaps,services,deployments,httproutes,podmonitors,networkpolicies,resourcequotas,limitranges,serviceaccounts"
    found = {}
    for obj in shop.get("get", kinds)["items"]:
        name = obj["metadata"]["name"]
        if name.startswith("stoker-canary-"):
            continue
        kept = {key: value for key, value in obj.items() if key not in {"status", "metadata"}}
        kept["labels"], kept["mine"] = obj["metadata"].get("labels"), obj["metadata"].get("annotations", {}).get("mine")
        if obj["kind"] == "Deployment":
            kept["spec"] = {key: kept["spec"][key] for key in kept["spec"].keys() - {"template", "replicas"}}
        if obj["kind"] == "HTTPRoute":
            for rule in kept["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    backend["weight"] = 0
        found[f"{obj['kind']}/{name}"] = kept
    return found


def check_evidence(state: dict[str, Any]) -> None:
    """Every pair of probes was counted once."""
    numbers = [one["pair"] for step in state["steps"] for one in step["raw"]]
    assert numbers == list(range(state["pairs"]))
    for step in state["steps"]:
        assert not step["dropped"]
        seen = sum(step["evidence"].get("errors", {"counts": []})["counts"])
        assert seen == sum("noData" not in one["canary"] for one in step["raw"])


def check_between(shop: Shop) -> dict[str, Any] | None:
    """Right after the kill: the traffic stands where the record says, or has not yet come there."""
    state, weights = record(shop), shop.weights()
    if state is None:
        assert weights == _BEFORE
        return None
    check_evidence(state)
    known = [(100 - step["percent"], step["percent"]) for step in state["steps"]]
    if state["phase"] == "running":
        assert weights in (known[-2:] if len(known) > 1 else [_BEFORE, (100, 0), *known])
    elif state["phase"] in {"promoting", "aborting"}:
        assert weights in (known[-1], (100, 0))
    else:
        assert weights == (100, 0)
    return state


def check_end(shop: Shop, phase: str, before: dict[str, Any]) -> dict[str, Any]:
    state = record(shop)
    assert state is not None
    said = [note["what"] for note in state["notes"]]
    assert phase == state["phase"], said
    assert 1 == sum(one.startswith(f"{phase}: ") for one in said), said
    assert 1 == sum("decided: " in one or "ordered by" in one for one in said), said
    assert list(_SHARES[: len(state["steps"])]) == [step["percent"] for step in state["steps"]]
    check_evidence(state)
    assert (100, 0) == shop.weights()
    templates = [
        shop.get("get", "deployment", one)["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in ("llama", "llama-v2")
    ]
    assert (templates[0] == templates[1]) == (phase == "promoted")
    assert order(shop) is None
    assert "" == shop.get("get", "lease", "stoker-canary-llama")["spec"]["holderIdentity"]
    assert before == theirs(shop)
    owners = {pod["metadata"]["labels"]["stoker.dev/version"] for pod in shop.get("get", "pods")["items"]}
    assert owners == {"stable", "v2"}
    return state


def go_on(shop: Shop, expect: int) -> None:
    """What a person does: look, and run the same command again where it is not over."""
    state = record(shop)
    if state is None or state["phase"] not in {"promoted", "aborted"}:
        shop.run(*start(shop), expect=expect)


@pytest.fixture
def before(shop: Shop) -> Iterator[dict[str, Any]]:
    """The cluster as the platform file says, with things of the user's in it; whatever a test leaves is taken away."""
    kubectl = kubectl_of(shop.folder)
    shop.apply()
    kubectl("annotate", "-n", "prod", "--overwrite", "deployment/llama", "deployment/llama-v2", "service/llama", "mine=yes")
    kubectl("annotate", "-n", "prod", "--overwrite", "httproute/llama", "mine=yes")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "prod"}, "data": _MINE}
    kubectl("apply", "-f", "-", text=body)
    kubectl("rollout", "status", "-n", "prod", "deployment/llama", "--timeout=80s")
    assert within(60, lambda: len(shop.pods("stable")) == 2 and len(shop.pods("v2")) >= 1)
    yield theirs(shop)
    for label in ("stoker.dev/canary=llama", "stoker.dev/canary-archive=llama"):
        kubectl("delete", "configmap", "-n", "prod", "-l", label)


@pytest.mark.parametrize("point", points(1, 16, writes=45, every=150), ids=str)
def test_a_good_canary_is_promoted_once(shop: Shop, before: dict[str, Any], point: Point) -> None:
    attempt(shop, point, *start(shop))
    check_between(shop)

    go_on(shop, 0)

    state = check_end(shop, "promoted", before)
    assert len(_SHARES) == len(state["steps"])


@pytest.mark.parametrize("point", points(2, 14, writes=14, every=45), ids=str)
def test_a_bad_canary_is_aborted_once(shop: Shop, before: dict[str, Any], point: Point) -> None:
    shop.fault("errors", "--value", 1)
    try:
        attempt(shop, point, *start(shop))
        check_between(shop)

        go_on(shop, 1)
    finally:
        shop.fault("errors", "--off")

    state = check_end(shop, "aborted", before)
    assert 1 == len(state["steps"])


@pytest.mark.parametrize("point", points(3, 10, writes=12, every=30), ids=str)
def test_an_abort_that_was_given_is_never_forgotten(shop: Shop, before: dict[str, Any], point: Point) -> None:
    shop.run(*start(shop), "--no-watch", expect=5)
    assert (50, 50) == shop.weights()
    attempt(shop, point, "abort", "llama")
    state = check_between(shop)
    assert state is not None
    is_given = order(shop) is not None or state["phase"] in {"aborting", "aborted"}

    go_on(shop, 1 if is_given else 0)

    check_end(shop, "aborted" if is_given else "promoted", before)


@pytest.mark.parametrize("point", points(4, 10, writes=40, every=120), ids=str)
def test_a_promotion_that_was_ordered_is_carried_out_by_the_next(
    shop: Shop, before: dict[str, Any], point: Point
) -> None:
    shop.run(*start(shop), "--no-watch", expect=5)
    attempt(shop, point, "promote", "llama")
    state = check_between(shop)
    assert state is not None
    is_given = order(shop) is not None or state["phase"] in {"promoting", "promoted"}

    go_on(shop, 0)

    state = check_end(shop, "promoted", before)
    assert ("ordered by" in state["reason"]) == is_given
    assert is_given == (1 == len(state["steps"]))
