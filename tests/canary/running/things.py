"""What is to be seen of a canary in the cluster: its record, its traffic, and everything that is not its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.canary.running.conftest import Shop, within
from tests.canary.running.victim import Victims, Wish
from tests.lab.running.conftest import kubectl_of

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object, Ref
from stoker.kube.transport import Tries

__all__ = ["BEFORE", "SHARES", "Scene", "check_between", "check_end", "scene_of"]

OPTIONS = (
    *("--steps", "50,75,100", "--least", "1s", "--every", "100s", "--most", "20h", "--ready", "20h", "--pairs", "30"),
    *("--margin", "ttft=10", "--margin", "tpot=10", "--margin", "errors=0.3"),
)  # fmt: skip
SHARES = (50, 75)
BEFORE = (95, 5)  # as the platform file says
_MINE = {"name": "mine", "note": "the user's own"}
_ENDS = {"promoted", "aborted", "inconclusive"}
# What is not the canary's to change, less what it moves.
_THEIRS = (
    ("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment"), ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("networking.k8s.io/v1", "NetworkPolicy"), ("v1", "ResourceQuota"), ("v1", "LimitRange"), ("v1", "ServiceAccount"),
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """The cluster as one looks at it, and the commands as a user gives them."""

    shop: Shop
    cluster: Cluster
    victims: Victims

    def get(self, api_version: str, kind: str, name: str) -> Object:
        found = self.cluster.get(Ref(api_version, kind, "prod", name))
        assert found is not None, name
        return found

    def run(
        self, *arguments: object, kind: str = "any", at: int = 0, moment: str = "unsent"
    ) -> tuple[int, str]:
        """A command of `stoker canary`; see `Wish`."""
        words = ("canary", *map(str, arguments))
        kubeconfig, out = self.shop.folder / "kubeconfig", self.shop.folder / "said.txt"
        return self.victims.run(Wish(words, str(kubeconfig), str(out), kind, at, moment))

    def start(self, *options: object, **at: Any) -> tuple[int, str]:
        return self.run("start", "llama", "-f", self.shop.platform, *OPTIONS, *options, **at)

    @property
    def record(self) -> dict[str, Any] | None:
        """The state as it stands in the cluster."""
        found = self.cluster.objects("v1", "ConfigMap", "prod", labels="stoker.dev/canary=llama")
        assert len(found) <= 1
        return json.loads(found[0]["data"]["state.json"]) if found else None

    @property
    def is_over(self) -> bool:
        state = self.record
        return state is not None and state["phase"] in _ENDS

    @property
    def has_order(self) -> bool:
        return self.cluster.get(Ref("v1", "ConfigMap", "prod", "stoker-canary-llama-order")) is not None

    @property
    def weights(self) -> tuple[int, ...]:
        """Of the route: stable, canary."""
        route = self.get("gateway.networking.k8s.io/v1", "HTTPRoute", "llama")
        return tuple(one["weight"] for one in route["spec"]["rules"][0]["backendRefs"])

    def args(self, name: str) -> list[str]:
        found: list[str] = self.get("apps/v1", "Deployment", name)["spec"]["template"]["spec"]["containers"][
            0
        ]["args"]
        return found

    @property
    def theirs(self) -> dict[str, Any]:
        found = {}
        for api_version, kind in _THEIRS:
            for obj in self.cluster.objects(api_version, kind, "prod"):
                name, notes = obj["metadata"]["name"], obj["metadata"].get("annotations") or {}
                if name.startswith("stoker-canary-"):
                    continue
                kept = {key: value for key, value in obj.items() if key not in {"status", "metadata"}}
                kept["labels"], kept["mine"] = obj["metadata"].get("labels"), notes.get("mine")
                if kind == "Deployment":
                    kept["spec"] = {
                        key: value
                        for key, value in kept["spec"].items()
                        if key not in {"template", "replicas"}
                    }
                if kind == "HTTPRoute":
                    for rule in kept["spec"]["rules"]:
                        for backend in rule["backendRefs"]:
                            backend["weight"] = 0
                found[f"{kind}/{name}"] = kept
        return found


@contextmanager
def scene_of(shop: Shop, victims: Victims) -> Iterator[Scene]:
    """The cluster as the platform file says, with things of the user's in it; whatever a test leaves is taken away."""
    kubectl = kubectl_of(shop.folder)
    shop.apply()
    marked = ("deployment/llama", "deployment/llama-v2", "service/llama")
    kubectl("annotate", "-n", "prod", "--overwrite", *marked, "mine=yes")
    kubectl("annotate", "-n", "prod", "--overwrite", "httproute/llama", "mine=yes")
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mine", "namespace": "prod"},
        "data": _MINE,
    }
    kubectl("apply", "-f", "-", text=body)
    kubectl("rollout", "status", "-n", "prod", "deployment/llama", "--timeout=80s")
    assert within(60, lambda: len(shop.pods("stable")) == 2 and len(shop.pods("v2")) >= 1)
    patient = Tries(within=300)  # it looks while the API is ill, too
    with open_cluster(kubeconfig=str(shop.folder / "kubeconfig"), tries=patient) as cluster:
        yield Scene(shop, cluster, victims)
    for label in ("stoker.dev/canary=llama", "stoker.dev/canary-archive=llama"):
        kubectl("delete", "configmap", "-n", "prod", "-l", label)


def check_evidence(state: dict[str, Any]) -> None:
    """Every pair of probes was counted once."""
    numbers = [one["pair"] for step in state["steps"] for one in step["raw"]]
    assert numbers == list(range(state["pairs"]))
    for step in state["steps"]:
        assert not step["dropped"]
        seen = sum(step["evidence"].get("errors", {"counts": []})["counts"])
        void = sum("noData" in one["canary"] or "noData" in one["stable"] for one in step["raw"])
        assert seen == len(step["raw"]) - void


def check_between(scene: Scene) -> dict[str, Any] | None:
    """Right after the kill: the traffic stands where the record says, or has not yet come there."""
    state, weights = scene.record, scene.weights
    if state is None:
        assert weights == BEFORE
        return None
    check_evidence(state)
    known = [(100 - step["percent"], step["percent"]) for step in state["steps"]]
    if state["phase"] == "running":
        assert weights in (known[-2:] if len(known) > 1 else [BEFORE, (100, 0), *known])
    elif state["phase"] in {"promoting", "aborting"}:
        assert weights in (known[-1], (100, 0))
    else:
        assert weights == (100, 0)
    return state


def check_end(scene: Scene, phase: str, before: dict[str, Any]) -> dict[str, Any]:
    """It is over, once, and nothing else has changed."""
    state = scene.record
    assert state is not None
    said = [note["what"] for note in state["notes"]]
    assert phase == state["phase"], said
    assert 1 == sum(one.startswith(f"{phase}: ") for one in said), said
    assert 1 == sum(
        "decided: " in one or "ordered by" in one for one in said if not one.startswith(f"{phase}: ")
    ), said
    assert list(SHARES[: len(state["steps"])]) == [step["percent"] for step in state["steps"]]
    check_evidence(state)
    assert (100, 0) == scene.weights
    assert (scene.args("llama") == scene.args("llama-v2")) == (phase == "promoted")
    assert not scene.has_order
    assert "" == scene.get("coordination.k8s.io/v1", "Lease", "stoker-canary-llama")["spec"]["holderIdentity"]
    assert before == scene.theirs
    owners = {
        pod["metadata"]["labels"]["stoker.dev/version"] for pod in scene.cluster.objects("v1", "Pod", "prod")
    }
    assert owners == {"stable", "v2"}
    return state
