"""The rollout's record in the cluster: it survives the laptop it was run from, and whoever comes next goes on from it.

One ConfigMap holds the state; one more for each measurement of a gate holds its raw evidence. Both are written by whoever
holds the lease, and only over the version that was read.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from stoker.apply.session import own_namespace
from stoker.apply.store import RECORD
from stoker.errors import StokerError
from stoker.kube.api_errors import AlreadyExistsError
from stoker.kube.cluster import Cluster
from stoker.kube.records import write_over
from stoker.kube.refs import Object, Ref
from stoker.rollout.state import RolloutState
from stoker.upgrades.objects import MANAGED_BY, PLATFORM_NAMESPACE

__all__ = ["LEASE", "Store"]

LEASE: Final = "stoker-rollout"
_NAME: Final = "stoker-rollout"
_PAUSE: Final = "stoker-rollout-pause"
_ROLLOUT_LABEL: Final = "stoker.dev/rollout"
_LINES: Final = 500  # of the record: a ConfigMap holds 1 MiB
# As apply's own record: an uninstall that leaves nothing erases it with the rest.
_LABELS: Final = {"app.kubernetes.io/part-of": MANAGED_BY, RECORD: "rollout"}


class Store:
    """Reads and writes the record. One writer at a time: the holder of `LEASE`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._ref = Ref("v1", "ConfigMap", PLATFORM_NAMESPACE, _NAME)
        self._version = ""

    def prepare(self) -> None:
        """Make the namespace of the record where there is none; `stoker uninstall` takes it away again."""
        own_namespace(self.cluster)

    def load(self) -> RolloutState | None:
        """The state; None where no rollout has begun.

        Raises:
            StokerError: what is there cannot be read.
        """
        found = self.cluster.get(self._ref)
        if found is None:
            self._version = ""
            return None
        self._version = found["metadata"]["resourceVersion"]
        try:
            return RolloutState.from_json(json.loads(found["data"]["state.json"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StokerError(
                f"{self._ref} is no rollout of this version of Stoker: {error!r}",
                fix=f"look at it (`kubectl -n {PLATFORM_NAMESPACE} get configmap {_NAME} -o yaml`); delete it to begin anew",
            ) from error

    def save(self, state: RolloutState) -> RolloutState:
        """Write the state over the one that was loaded or saved last.

        Raises:
            ConflictError: somebody else wrote it meanwhile.
        """
        kept = replace(state, log=state.log[-_LINES:])
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _NAME, "namespace": PLATFORM_NAMESPACE, "labels": _LABELS},
            "data": {"state.json": json.dumps(kept.as_json(), indent=1, ensure_ascii=False)},
        }
        self._version = write_over(self.cluster, body, self._version)
        return kept

    def paused(self) -> bool:
        """Whether somebody wants the run to stop before its next step."""
        return self.cluster.get(Ref("v1", "ConfigMap", PLATFORM_NAMESPACE, _PAUSE)) is not None

    def pause(self, *, who: str) -> None:
        """Ask for it. A mark of its own, for the state belongs to who holds the lease."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _PAUSE, "namespace": PLATFORM_NAMESPACE, "labels": _LABELS},
            "data": {"who": who},
        }
        self.cluster.apply(body)

    def resume(self) -> bool:
        """Take it back; False where nothing was paused."""
        return self.cluster.delete(Ref("v1", "ConfigMap", PLATFORM_NAMESPACE, _PAUSE))

    def keep(self, rollout: str, number: int, result: dict[str, Any]) -> None:
        """Keep a gate's result with its evidence; ``number`` counts the measurements of this rollout."""
        text = json.dumps(result, ensure_ascii=False, sort_keys=True)
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"{_NAME}-{rollout}-{number:04d}",
                "namespace": PLATFORM_NAMESPACE,
                "labels": {**_LABELS, _ROLLOUT_LABEL: rollout},
                "annotations": {"stoker.dev/gate": result["id"], "stoker.dev/verdict": result["verdict"]},
            },
            "binaryData": {
                "result.json.gz": base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")
            },
        }
        try:
            self.cluster.create(body)
        except AlreadyExistsError:
            return  # our own write, whose answer was lost

    def results(self, rollout: str) -> Iterator[dict[str, Any]]:
        """Every result that was kept, oldest first."""
        for found in sorted(self._kept(rollout), key=lambda one: str(one["metadata"]["name"])):
            packed = base64.b64decode(found["binaryData"]["result.json.gz"])
            result: dict[str, Any] = json.loads(gzip.decompress(packed))
            yield result

    def count(self, rollout: str) -> int:
        """The number of the next result to keep."""
        names = [str(one["metadata"]["name"]) for one in self._kept(rollout)]
        return max((int(name.rpartition("-")[2]) for name in names), default=0) + 1

    def _kept(self, rollout: str) -> list[Object]:
        return self.cluster.objects(
            "v1", "ConfigMap", PLATFORM_NAMESPACE, labels=f"{_ROLLOUT_LABEL}={rollout}"
        )
