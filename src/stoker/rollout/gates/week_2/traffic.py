"""Shifting a model's traffic between its two versions, and the doors by which it is reached, in each serving mode.

Facts: KServe's ``canaryTrafficPercent`` counts in Knative mode only; in Standard mode KServe v0.20 makes the canary's pods and
splits nothing, our HTTPRoute does; LLMInferenceServices of one group are split by their weights.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stoker.kube.refs import Object, Ref
from stoker.platform.serving import ServingMode
from stoker.rollout.endpoints import Endpoint, find_model, find_service
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.gates.week_2.pair import CANARY
from stoker.sizing.resolved import ResolvedCanary, ResolvedModel
from stoker.upgrades.serving.routing import route_name

__all__ = ["STABLE", "Traffic", "weights_of"]

STABLE = "stable"
_ROUTE = "gateway.networking.k8s.io/v1"
_SERVICE = "serving.kserve.io/v1beta1"
_LLM = "serving.kserve.io/v1alpha2"


def weights_of(route: Object, shares: dict[str, int]) -> list[Object]:
    """The rules of an HTTPRoute with other weights for some Services. Pure."""
    return [
        {
            **rule,
            "backendRefs": [
                {**ref, "weight": shares.get(ref["name"], ref.get("weight", 1))}
                for ref in rule.get("backendRefs") or ()
            ],
        }
        for rule in route["spec"].get("rules") or ()
    ]


@dataclass(frozen=True)
class Traffic:
    """The traffic of one model with a canary.

    Attributes:
        owned: the gate has made the model; else a change is put back when the gate ends.
    """

    context: Context
    model: ResolvedModel
    owned: bool

    @property
    def canary(self) -> ResolvedCanary:
        if self.model.canary is None:
            raise CannotMeasureError(f"{self.model.name} has no canary", fix="models[].canary names one")
        return self.model.canary

    def versions(self) -> tuple[str, str]:
        """Names of both, as pods are labelled."""
        return STABLE, self.canary.name

    def shift(self, percent: int) -> None:
        """Give the canary a share of the requests."""
        if self.model.mode is ServingMode.KNATIVE:
            self._patch(self._service(), {"spec": {"predictor": {"canaryTrafficPercent": percent}}})
        elif self.model.mode is ServingMode.LLM_INFERENCE_SERVICE:
            for name, share in (
                (self.model.name, 100 - percent),
                (f"{self.model.name}-{self.canary.name}", percent),
            ):
                self._patch(
                    Ref(_LLM, "LLMInferenceService", self.model.namespace, name),
                    {"spec": {"router": {"route": {"weight": share}}}},
                )
        else:
            ref = Ref(_ROUTE, "HTTPRoute", self.model.namespace, route_name(self.model))
            route = self.context.cluster.get(ref)
            if route is None:
                raise CannotMeasureError(f"there is no {ref}", fix="`stoker apply` makes it")
            shares = {self.model.service: 100 - percent, self.canary.service: percent}
            self._patch(
                ref,
                {"spec": {"rules": weights_of(route, shares)}},
                back={"spec": {"rules": route["spec"]["rules"]}},
            )
        self.context.note(
            f"gave {percent} % of the requests of {self.model.name} to {self.canary.name}", percent=percent
        )

    def _patch(self, ref: Ref, patch: Object, back: Object | None = None) -> None:
        if self.owned:
            self.context.cluster.patch(ref, patch)
        elif back is not None:
            self.context.probes.change(ref, patch, back)
        else:
            raise CannotMeasureError(
                f"the traffic of {ref} cannot be shifted and put back",
                fix="let the gate make a pair: canary: probe",
            )

    def front(self) -> Endpoint:
        """The door that splits."""
        services = self.context.services
        return find_model(self.context.cluster, self.context.platform, self.model, services, front=True)

    def doors(self, percent: int) -> dict[str, Endpoint]:
        """The front door, and one for each version, that last while the canary is given a share.

        A Knative revision that has no share has no address either: while the canary has everything, the old one has none.
        """
        front = self.front()
        found = {"front": front}
        if self.model.mode is ServingMode.KNATIVE:
            tagged = self._tagged(front)
            return found | {
                version: door for version, door in tagged.items() if percent < 100 or version != STABLE
            }
        named = ((STABLE, self.model.service), (self.canary.name, self.canary.service))
        port, health = self.model.service_port, self.model.release.health_path or "/"
        for version, service in named:
            found[version] = find_service(
                self.context.cluster, self.model.namespace, service, port, health=health
            )
        return found

    def _service(self) -> Ref:
        return Ref(_SERVICE, "InferenceService", self.model.namespace, self.model.name)

    def _tagged(self, front: Endpoint) -> dict[str, Endpoint]:
        """Doors of revisions by Knative's tags: the newest, and the one before while it shares the traffic."""
        status: dict[str, Any] = (self.context.cluster.get(self._service()) or {}).get("status") or {}
        traffic = ((status.get("components") or {}).get("predictor") or {}).get("traffic") or ()
        names = {"latest": CANARY, "prev": STABLE}
        found = {}
        for one in traffic:
            if one.get("tag") in names and one.get("url"):
                host = urlsplit(one["url"]).netloc
                found[names[one["tag"]]] = Endpoint(
                    front.url, {"Host": host}, front.way, f"tag {one['tag']} of {self._service()}"
                )
        return found
