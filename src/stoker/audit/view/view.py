"""One value with everything that rules ask for, each computed once and only when asked."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from stoker.audit.view.gpus import Fit, GpuGuess, fit, gpu_of_node, guess_gpu
from stoker.audit.view.nodes import NodeClass, classes_of
from stoker.audit.view.queries import Query, queries_of
from stoker.audit.view.scaling import Scaler, scalers_of
from stoker.audit.view.serving import Server, servers_of
from stoker.audit.view.workloads import Workload, pod_gpus, workloads_of
from stoker.catalog.gpus import Gpu
from stoker.kube.snapshot import Item, Origin, Snapshot

__all__ = ["View"]


@dataclass(frozen=True, eq=False)
class View:
    """The snapshot as rules see it.

    Attributes:
        snapshot: what was read.
        today: date of the audit, for what expires.
    """

    snapshot: Snapshot
    today: date

    def of(self, *resources: str) -> tuple[Item, ...]:
        """`Snapshot.of`."""
        return self.snapshot.of(*resources)

    def knows(self, resource: str, namespace: str = "") -> bool:
        """`Snapshot.knows`: whether absence here is absence in the cluster."""
        return self.snapshot.knows(resource, namespace)

    @property
    def observed(self) -> bool:
        """Objects come from a server: status means something."""
        return self.snapshot.origin is not Origin.FILES

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """Everything that makes pods, runtimes' templates included."""
        return tuple(workloads_of(self.snapshot))

    @cached_property
    def gpu_workloads(self) -> tuple[Workload, ...]:
        """Workloads whose pods ask for GPUs; templates are left out."""
        return tuple(workload for workload in self.workloads if workload.uses_gpu and not workload.template)

    @cached_property
    def servers(self) -> tuple[Server, ...]:
        """Inference servers, those in runtimes' templates included."""
        return tuple(servers_of(self.workloads, self.snapshot))

    @cached_property
    def running_servers(self) -> tuple[Server, ...]:
        """Inference servers that pods are made of."""
        return tuple(server for server in self.servers if not server.workload.template)

    @cached_property
    def scalers(self) -> tuple[Scaler, ...]:
        """What sets replicas."""
        return tuple(scalers_of(self.snapshot, self.workloads))

    @cached_property
    def _scalers_by_workload(self) -> Mapping[int, list[Scaler]]:
        found: dict[int, list[Scaler]] = defaultdict(list)
        for scaler in self.scalers:
            found[id(scaler.workload)].append(scaler)
        return dict(found)

    def scalers_of(self, workload: Workload) -> list[Scaler]:
        """Scalers of one workload."""
        return self._scalers_by_workload.get(id(workload), [])

    @cached_property
    def scalers_by_target(self) -> Mapping[tuple[str, str, str], list[Scaler]]:
        """Scalers by namespace, kind and name of what they scale."""
        found: dict[tuple[str, str, str], list[Scaler]] = defaultdict(list)
        for scaler in self.scalers:
            found[scaler.item.namespace, scaler.target_kind, scaler.target].append(scaler)
        return dict(found)

    @cached_property
    def _by_namespace(self) -> Mapping[str, tuple[Workload, ...]]:
        return _grouped(self.workloads)

    def workloads_in(self, namespace: str) -> tuple[Workload, ...]:
        """Workloads of one namespace, templates included."""
        return self._by_namespace.get(namespace, ())

    @cached_property
    def _gpus_by_namespace(self) -> Mapping[str, tuple[Workload, ...]]:
        return _grouped(self.gpu_workloads)

    def gpu_workloads_in(self, namespace: str) -> tuple[Workload, ...]:
        """Workloads of one namespace whose pods ask for GPUs; templates are left out."""
        return self._gpus_by_namespace.get(namespace, ())

    def replicas(self, workload: Workload) -> tuple[int, int]:
        """Least and most replicas, scalers included."""
        scalers = self.scalers_of(workload)
        if not scalers:
            return workload.minimum, workload.maximum
        return min(s.minimum for s in scalers), max(s.maximum for s in scalers)

    @cached_property
    def queries(self) -> tuple[Query, ...]:
        """Every PromQL expression."""
        return tuple(queries_of(self.snapshot))

    @cached_property
    def _queries_by_item(self) -> Mapping[int, list[Query]]:
        found: dict[int, list[Query]] = defaultdict(list)
        for query in self.queries:
            found[id(query.item)].append(query)
        return dict(found)

    def queries_of(self, item: Item) -> list[Query]:
        """Expressions that one object holds."""
        return self._queries_by_item.get(id(item), [])

    @cached_property
    def recorded(self) -> frozenset[str]:
        """Names that recording rules of the source make."""
        return frozenset(query.name for query in self.queries if query.role == "record")

    @cached_property
    def vllm_releases(self) -> tuple[str, ...]:
        """Releases of vLLM that run here, a moving tag standing for the newest known; empty where none tells."""
        found = {s.release for s in self.running_servers if s.engine == "vllm" and s.release}
        return tuple(sorted(found))

    @cached_property
    def node_classes(self) -> tuple[NodeClass, ...]:
        """Nodes grouped by what workloads can tell apart."""
        return classes_of(self.of("Node"), self.workloads)

    @cached_property
    def gpu_pods(self) -> tuple[tuple[Item, dict[str, int]], ...]:
        """Pods with GPUs, and how many of which."""
        return tuple((pod, gpus) for pod in self.of("Pod") if (gpus := pod_gpus(pod)))

    @cached_property
    def node_gpus(self) -> Mapping[str, Gpu]:
        """GPU type by node name."""
        return {node.name: found for node in self.of("Node") if (found := gpu_of_node(node)) is not None}

    @cached_property
    def _guesses(self) -> dict[int, GpuGuess | None]:
        nodes = [c.one for c in self.node_classes]
        guesses = {id(workload): guess_gpu(workload, nodes) for workload in self.gpu_workloads}
        named = {guess.gpu.name: guess.gpu for guess in guesses.values() if guess}
        if len(named) == 1:
            (only,) = named.values()
            for workload in self.gpu_workloads:
                whole = any(name in {"nvidia.com/gpu", "amd.com/gpu"} for name in workload.gpus)
                if guesses[id(workload)] is None and whole:
                    guesses[id(workload)] = GpuGuess(only, "the only GPU type that anything here names")
        return guesses

    def gpu(self, workload: Workload) -> GpuGuess | None:
        """The GPU type that its pods get, None where nothing tells."""
        return self._guesses.get(id(workload))

    @cached_property
    def _fits(self) -> Mapping[int, Fit | None]:
        return {
            id(server): fit(server, guess.gpu)
            for server in self.servers
            if (guess := self.gpu(server.workload)) is not None
        }

    def fit(self, server: Server) -> Fit | None:
        """Whether the model of one of its servers fits the GPUs it gets; None where model or GPU is unknown."""
        return self._fits.get(id(server))


def _grouped(workloads: tuple[Workload, ...]) -> Mapping[str, tuple[Workload, ...]]:
    found: dict[str, list[Workload]] = defaultdict(list)
    for workload in workloads:
        found[workload.namespace].append(workload)
    return {namespace: tuple(items) for namespace, items in found.items()}
