"""How a phase reaches the cluster: `stoker.apply`, with the phase's name in the record, and the nodes' taints where wanted."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from stoker.apply.back import rollback
from stoker.apply.events import Progress
from stoker.apply.plan import plan_changes
from stoker.apply.run import apply_plan
from stoker.apply.store import Store as ApplyStore
from stoker.apply.undo import UndoKind
from stoker.errors import ExitCode, StokerError
from stoker.kube.cluster import Cluster
from stoker.rollout.nodes import NodeChange, change_nodes, plan_nodes, restore_nodes
from stoker.rollout.phases import PlannedPhase
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Upgrade
from stoker.upgrades.scheduling.nodes import node_plan

__all__ = ["ByApply", "NotReadyError", "lacking_nodes", "sets_nodes"]


class NotReadyError(StokerError):
    """What was applied did not become ready; running again waits for it again."""

    exit_code = ExitCode.FINDINGS


def sets_nodes(phase: PlannedPhase) -> bool:
    """Whether nodes get their labels and taints with this phase: with what is scheduled by them."""
    return any(item.upgrade is Upgrade.SCHEDULING and int(item.wave) <= 2 for item in phase.objects)


def lacking_nodes(cluster: Cluster, platform: ResolvedPlatform) -> list[NodeChange]:
    """What the pools' nodes lack now."""
    return plan_nodes(node_plan(platform), cluster.objects("v1", "Node"))


@dataclass
class ByApply:
    """Applies phases by `stoker.apply`.

    Attributes:
        set_nodes: labels and taints of nodes are set too; else a node that lacks them stops the phase.
        timeout: of the cluster's seconds that a wave may take to become ready.
        left: what a rollback did not put back, with why.
    """

    cluster: Cluster
    platform: ResolvedPlatform | None
    progress: Progress
    line: Callable[[str], None]
    set_nodes: bool = False
    timeout: float = 1800.0
    left: list[str] = field(default_factory=list)

    def apply(self, phase: PlannedPhase, run: str) -> None:
        """Apply; nothing is taken from other managers, nothing deleted.

        Raises:
            NotReadyError: something did not become ready in time.
            UnsafeError: something is blocked: another manager owns a field, or an object would have to be replaced.
        """
        if self.platform is not None and sets_nodes(phase):
            self._nodes(self.platform)
        plan = plan_changes(self.cluster, phase.objects, platform=self.platform)
        applied = apply_plan(
            self.cluster, plan, progress=self.progress, timeout=self.timeout, command=f"rollout {run}"
        )
        if not applied.is_complete:
            told = "; ".join(f"{ref}: {state.why}" for ref, state in applied.unready[:3])
            raise NotReadyError(
                f"{phase.name} is applied and not ready: {told}",
                fix="mend what is named, then run again: it goes on from here; `stoker rollout rollback` takes it back",
            )

    def _nodes(self, platform: ResolvedPlatform) -> None:
        changes = [
            change for change in lacking_nodes(self.cluster, platform) if change.taints or change.labels
        ]
        if not changes:
            return
        if not self.set_nodes:
            raise NotReadyError(
                f"{len(changes)} nodes lack their pool's labels or taints, such as {changes[0].node}",
                fix="set them on the node groups (`kubectl -n stoker-system get configmap stoker-node-pools -o yaml` after "
                "`stoker apply --upgrade scheduling`, or NODES.md of `stoker render`), or let this run set them: --set-nodes",
            )
        change_nodes(self.cluster, changes)
        self.line(
            f"set labels and taints of {len(changes)} nodes; node groups must set them too, nodes come and go"
        )

    def rollback(self, runs: Collection[str]) -> None:
        """Undo every apply run that was made under these names, and no other."""
        commands = {f"rollout {run}" for run in runs}
        numbers = [found.number for found in ApplyStore(self.cluster).runs() if found.command in commands]
        if not numbers:
            return  # nothing had to be changed
        undone = rollback(
            self.cluster, min(numbers), only=numbers, progress=self.progress, timeout=self.timeout
        )
        self.left += [f"{step.ref}: {step.why}" for step in undone.steps if step.kind is UndoKind.LEAVE]
        for ref, state in sorted(undone.unready.items(), key=lambda item: item[0]):
            self.line(f"{ref} is not ready again: {state.why}")
            self.left.append(f"{ref}: {state.why}")

    def restore_nodes(self) -> None:
        """Take off what was set on nodes."""
        count = restore_nodes(self.cluster)
        if count:
            self.line(f"took labels and taints off {count} nodes")
