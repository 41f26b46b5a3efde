"""Taints, tolerations and labels: which pods GPU nodes let in, and which they must not keep out."""

import re
from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.view.images import parse_image
from stoker.audit.view.memo import once_per_view
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.catalog.components import component
from stoker.catalog.versions import version_key
from stoker.kube.quantities import parse
from stoker.kube.selectors import node_fits, nodes_terms, tolerates, untolerated
from stoker.kube.snapshot import Item

_PLUGIN: Final = "NVIDIA k8s-device-plugin v0.20.0 deployments/static/nvidia-device-plugin.yml (tolerations)"
_GFD: Final = "NVIDIA k8s-device-plugin v0.20.0 docs/gpu-feature-discovery/README.md:195-275"
_AGENT: Final = re.compile(
    r"device-plugin|gpu-feature-discovery|dcgm-exporter|k8s-device-plugin|gfd", re.IGNORECASE
)
_GPU_TAINT: Final = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
# Taints of the control plane and of clouds, which their own GPU agents tolerate (GKE, AKS spot, Karpenter start-up).
_KNOWN: Final = re.compile(
    r"^(node(-role)?\.kubernetes\.io/|nvidia\.com/|amd\.com/|cloud\.google\.com/|kubernetes\.azure\.com/|node\.cloudprovider\.|karpenter\.sh/|sku$|kueue\.|CriticalAddonsOnly)"
)


@once_per_view
def _agents(view: View) -> tuple[Workload, ...]:
    """DaemonSets that make GPUs visible and measured."""
    return tuple(
        w
        for w in view.workloads
        if w.item.kind == "DaemonSet" and any(_AGENT.search(c.image) for c in w.containers)
    )


def _gpu_nodes(view: View) -> list[Item]:
    return [
        node for node in view.of("Node")
        if any(name.startswith(("nvidia.com/gpu", "amd.com/gpu")) for name in {**node.labels, **node.section("status", "capacity")})
    ]  # fmt: skip


def _key_tolerations(workload: Workload) -> list[str]:
    return [str(t.get("key")) for t in workload.pod.get("tolerations") or [] if t.get("key")]


def _tolerant(view: View) -> Iterator[Workload]:
    yield from (
        w
        for w in view.gpu_workloads
        if w.pod.get("tolerations") and any(name.startswith("nvidia.com/") for name in w.gpus)
    )


@rule(
    "taint-keeps-device-plugin-out",
    Area.SCHEDULING,
    Severity.ERROR,
    title="GPU nodes carry a taint of their own making that the device plugin does not tolerate",
    why=(
        "The NVIDIA device plugin, GFD and dcgm-exporter tolerate nvidia.com/gpu and nothing else by default. Behind another "
        "taint they are not placed, at the latest after the next reboot or upgrade: the node advertises no nvidia.com/gpu and "
        "every GPU pod is Pending."
    ),
    fix="Taint GPU nodes with nvidia.com/gpu=present:NoSchedule, or give the plugin, GFD and exporter the toleration too.",
    references=(_PLUGIN, "observed on a real 1.36 scheduler: DaemonSet DESIRED 1 of 2"),
    on=_tolerant,
)
def _taint_keeps_device_plugin_out(workload: Workload, view: View) -> Iterator[Hit]:
    tolerations = workload.pod.get("tolerations") or []
    if any(tolerates(t, {**_GPU_TAINT, "value": t.get("value", "")}) for t in tolerations):
        return
    if "cloud.google.com/" in str(workload.pod.get("nodeSelector")) or "cloud.google.com/" in str(
        nodes_terms(workload.pod)
    ):
        return  # GKE's own device plugin tolerates every taint
    agents = _agents(view)
    for index, toleration in enumerate(tolerations):
        key = str(toleration.get("key") or "")
        if not key or "/" in key or _KNOWN.match(key) or toleration.get("effect") == "PreferNoSchedule":
            continue
        taint = {
            "key": key,
            "value": toleration.get("value", ""),
            "effect": toleration.get("effect") or "NoSchedule",
        }
        if agents and all(not untolerated([taint], a.pod.get("tolerations") or []) for a in agents):
            continue
        path = (*workload.path, "tolerations", index)
        value = f"={toleration['value']}" if toleration.get("value") else ""
        yield Hit(
            workload.item, path, f"the pods tolerate {key}{value}, so their nodes carry it; the device plugin's default tolerations do not cover it",
            key,
        )  # fmt: skip


@rule(
    "agent-kept-off-gpu-node",
    Area.SCHEDULING,
    Severity.ERROR,
    title="Device plugin, GFD or dcgm-exporter does not tolerate a taint of a GPU node",
    why="Without the plugin the node has no nvidia.com/gpu, without GFD no labels, without the exporter no metrics: GPUs are paid for and invisible.",
    fix="Add the toleration to the DaemonSet; dcgm-exporter's chart needs tolerations: [{operator: Exists}].",
    references=(_PLUGIN, "dcgm-exporter deployment/values.yaml (tolerations)"),
    on=lambda view: _agents(view) if _gpu_nodes(view) else [],
)
def _agent_kept_off_gpu_node(agent: Workload, view: View) -> Iterator[Hit]:
    for node in _gpu_nodes(view):
        kept = untolerated(node.spec.get("taints") or [], agent.pod.get("tolerations") or [])
        if kept and node_fits(agent.pod, node.name, node.labels):
            taint = kept[0]
            told = f"{taint.get('key')}={taint.get('value', '')}:{taint.get('effect')}"
            path = (*agent.path, "tolerations")
            index = len(agent.pod.get("tolerations") or [])
            value = {"key": taint.get("key"), "operator": "Exists", "effect": taint.get("effect")}
            yield Hit(agent.item, path, f"{node.name} is tainted {told}, which {agent.item.name} does not tolerate", None,
                      Fix(f"Tolerate {taint.get('key')}", (add((*path, index), value),)))  # fmt: skip
            return


def _plain_servers(view: View) -> Iterator[Workload]:
    """GPU workloads of a source in which another GPU workload tolerates a taint."""
    if any(_own_keys(w) for w in view.gpu_workloads):
        yield from (
            w
            for w in view.gpu_workloads
            if w.serves and w.item.kind not in {"Pod", "RayCluster", "RayService"}
        )


def _own_keys(workload: Workload) -> set[str]:
    return {key for key in _key_tolerations(workload) if not key.startswith("node.kubernetes.io/")}


@rule(
    "server-without-toleration",
    Area.SCHEDULING,
    Severity.WARNING,
    title="GPU server tolerates no taint where its neighbours' nodes have one",
    why="If the GPU nodes are tainted, as the tolerations beside it say, its pods stay Pending: the model never starts.",
    fix="Give it the same tolerations; of an InferenceService they belong under spec.predictor.",
    references=(
        "kserve 0.20.0 pkg/apis/serving/v1beta1/podspec.go",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/",
    ),
    on=_plain_servers,
)
def _server_without_toleration(workload: Workload, view: View) -> Iterator[Hit]:
    if workload.pod.get("tolerations") or _runtime_tolerates(view, workload):
        return
    kinds = set(workload.gpus)
    other = next(
        (w for w in view.gpu_workloads_in(workload.namespace) if _own_keys(w) and set(w.gpus) == kinds), None
    )
    if other is None:
        return
    tolerations = [
        dict(t) for t in other.pod.get("tolerations") or [] if str(t.get("key")) in _own_keys(other)
    ]
    path = (*workload.path, "tolerations")
    keys = ", ".join(sorted(_own_keys(other)))
    # A taint that keeps the GPU agents out is nothing to copy.
    safe = all(key.startswith(("nvidia.com/", "amd.com/")) for key in _own_keys(other))
    fix = Fix("Tolerate the same", (add(path, tolerations),) if safe else ())
    yield Hit(workload.item, path, f"{other} tolerates {keys}; {workload} tolerates nothing", None, fix)


def _runtime_tolerates(view: View, workload: Workload) -> bool:
    """KServe merges the runtime's pod specification in."""
    if workload.item.kind != "InferenceService":
        return False
    runtimes = view.of("ServingRuntime.serving.kserve.io", "ClusterServingRuntime.serving.kserve.io")
    return any(item.spec.get("tolerations") for item in runtimes)


@rule(
    "tolerates-everything",
    Area.SCHEDULING,
    Severity.WARNING,
    title="GPU workload tolerates every taint",
    why="It is scheduled onto nodes that are being drained, are out of memory or belong to another tenant: isolation by taints is void for it.",
    fix="Tolerate nvidia.com/gpu and the pool's own taint by name.",
    references=("https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/",),
    on=lambda view: (
        w for w in view.gpu_workloads if w.item.kind != "DaemonSet" and w.pod.get("tolerations")
    ),
)
def _tolerates_everything(workload: Workload, view: View) -> Iterator[Hit]:
    for index, toleration in enumerate(workload.pod.get("tolerations") or []):
        if toleration.get("operator") == "Exists" and not toleration.get("key"):
            yield Hit(
                workload.item,
                (*workload.path, "tolerations", index),
                "operator Exists without a key tolerates every taint",
                dict(toleration),
            )


@rule(
    "cpu-pod-on-gpu-nodes",
    Area.SCHEDULING,
    Severity.WARNING,
    title="Workload without GPUs tolerates the GPU nodes' taint",
    why="It may fill the CPU and memory beside idle GPUs: the GPU pods that should go there are Pending, and the GPUs are paid for.",
    fix="Drop the toleration, or give the pods a node selector for CPU nodes.",
    references=("https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/",),
    on=lambda view: (
        w
        for w in view.workloads
        if w.item.kind in {"Deployment", "StatefulSet"} and not w.uses_gpu and not w.template and w.complete
    ),
)
def _cpu_pod_on_gpu_nodes(workload: Workload, view: View) -> Iterator[Hit]:
    if workload.pod.get("nodeSelector") or nodes_terms(workload.pod) or workload.pod.get("resourceClaims"):
        return
    for index, toleration in enumerate(workload.pod.get("tolerations") or []):
        if toleration.get("key") == "nvidia.com/gpu" and not _gpu_stack(workload):
            path = (*workload.path, "tolerations", index)
            yield Hit(
                workload.item,
                path,
                f"{workload} asks for no GPU and may fill GPU nodes",
                "nvidia.com/gpu",
                Fix("Drop the toleration", (remove(path),)),
            )


def _gpu_stack(workload: Workload) -> bool:
    return bool(_AGENT.search(workload.item.name)) or any(
        re.search(r"nvidia|gpu|dcgm|node-feature", c.image) for c in workload.containers
    )


@rule(
    "gpu-labels-by-hand",
    Area.SCHEDULING,
    Severity.WARNING,
    title="GPU nodes are selected by labels that somebody sets by hand",
    why=(
        "A node that the autoscaler or a repair brings back has no such label: capacity is there, and the pods are Pending. The "
        "label also says what somebody typed, not what the driver sees."
    ),
    fix="Select nvidia.com/gpu.product or nvidia.com/gpu.memory, which GPU Feature Discovery keeps.",
    references=(_GFD,),
    on=lambda view: (
        w
        for w in view.gpu_workloads
        if "nvidia.com/gpu" in w.gpus and (w.pod.get("nodeSelector") or nodes_terms(w.pod))
    ),
)
def _gpu_labels_by_hand(workload: Workload, view: View) -> Iterator[Hit]:
    keys: list[tuple[str, tuple[str | int, ...]]] = [
        (key, ("nodeSelector", key)) for key in workload.pod.get("nodeSelector") or {}
    ]
    where = (
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    )
    for number, term in enumerate(nodes_terms(workload.pod)):
        for index, expression in enumerate(term.get("matchExpressions") or []):
            keys.append((str(expression.get("key")), (*where, number, "matchExpressions", index)))
    for key, path in keys:
        if re.fullmatch(
            r"(gpu|accelerator|gpu[-_.]?(type|memory|model|product)|accelerator[-_.]?type|hardware[-_.]?type)",
            key.lower(),
        ):
            yield Hit(workload.item, (*workload.path, *path), f"the label {key} is set by hand", key)


@rule(
    "gpu-memory-label-unit",
    Area.SCHEDULING,
    Severity.ERROR,
    title="nvidia.com/gpu.memory is compared with a number that is no MiB",
    why="GFD prints MiB: `Gt 79` is true for every GPU since 2010, and `Lt 80` for none. The pods land on any GPU, or nowhere.",
    fix="Compare with MiB: 81920 is an 80 GB A100.",
    references=(_GFD,),
    on=lambda view: (
        w for w in view.gpu_workloads if any("nvidia.com/gpu.memory" in str(t) for t in nodes_terms(w.pod))
    ),
)
def _gpu_memory_label_unit(workload: Workload, view: View) -> Iterator[Hit]:
    where = (
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    )
    for number, term in enumerate(nodes_terms(workload.pod)):
        for index, expression in enumerate(term.get("matchExpressions") or []):
            values = expression.get("values") or []
            if expression.get("key") == "nvidia.com/gpu.memory" and any(
                v.isdigit() and int(v) < 1000 for v in values
            ):
                path = (*workload.path, *where, number, "matchExpressions", index, "values")
                yield Hit(
                    workload.item,
                    path,
                    f"{expression.get('operator')} {values[0]} compares MiB with what looks like GiB",
                    values,
                )


@rule(
    "no-node-matches",
    Area.SCHEDULING,
    Severity.ERROR,
    title="No node satisfies the workload's node selection and tolerations",
    why="The pods are Pending for ever; an autoscaler that cannot make such a node either says nothing.",
    fix="Correct the labels, tolerations or GPU count, or add nodes that have them.",
    references=("kubernetes 1.36 pkg/scheduler/framework/plugins/nodeaffinity",),
    on=lambda view: view.gpu_workloads if _gpu_nodes(view) else [],
)
def _no_node_matches(workload: Workload, view: View) -> Iterator[Hit]:
    if not view.knows("Node") or workload.pod.get("nodeName") or not workload.maximum:
        return
    selected = [c for c in view.node_classes if node_fits(workload.pod, c.one.name, c.one.labels)]
    if not selected:
        number = len(view.of("Node"))
        yield Hit(
            workload.item, workload.path, f"none of {number} nodes has the labels that {workload} asks for"
        )
        return
    tolerations = workload.pod.get("tolerations") or []
    open_ = [c.one for c in selected if not untolerated(c.one.spec.get("taints") or [], tolerations)]
    if not open_:
        taint = (selected[0].one.spec.get("taints") or [{}])[0]
        count = sum(c.count for c in selected)
        path = (*workload.path, "tolerations")
        yield Hit(
            workload.item, path, f"{count} nodes match, and all are tainted, with {taint.get('key')} for one"
        )
        return
    for resource, gpus in workload.gpus.items():
        most = max(int(parse(n.section("status", "allocatable").get(resource, "0")) or 0) for n in open_)
        if most < gpus:
            yield Hit(
                workload.item,
                workload.path,
                f"a pod takes {gpus} {resource}, and the largest matching node has {most}",
                gpus,
            )


@rule(
    "device-plugin-outdated",
    Area.SCHEDULING,
    Severity.INFO,
    title="Device plugin is years behind",
    why="Old plugins know neither new GPUs nor CDI, and their static manifest was a demonstration: no GFD, no health checks of today.",
    fix="Install the chart at a current version with gfd.enabled=true, or the GPU Operator.",
    references=("NVIDIA k8s-device-plugin v0.20.0 README.md:148",),
    on=lambda view: (
        a
        for a in _agents(view)
        if any("k8s-device-plugin" in c.image and "nvidia" in c.image for c in a.containers)
    ),
)
def _device_plugin_outdated(agent: Workload, view: View) -> Iterator[Hit]:
    newest = component("nvidia-device-plugin").version.removeprefix("v")
    for container in agent.containers:
        version = parse_image(container.image).version
        if (
            version
            and "k8s-device-plugin" in container.image
            and version_key(version) < version_key("0.16.0")
        ):
            yield Hit(
                agent.item,
                (*container.path, "image"),
                f"{version} is installed, {newest} is current",
                container.image,
            )
