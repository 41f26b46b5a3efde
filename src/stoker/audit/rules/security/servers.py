"""Model servers: credentials in plain sight, privileges, and doors that anybody may use."""

import re
from collections.abc import Iterator
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Container, Workload
from stoker.kube.snapshot import Item

_SECRET: Final = re.compile(
    r"(^|_)(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|SECRET_ACCESS_KEY|ACCESS_KEY_ID)$", re.IGNORECASE
)
_REAL: Final = re.compile(
    r"^(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9-]{16,}|AKIA[A-Z0-9]{12,}|gh[pousr]_\w{16,}|[A-Za-z0-9+/_=-]{20,})$"
)
_PLACEHOLDER: Final = re.compile(
    r"your|change|example|placeholder|todo|xxx|<|\$|replace|dummy|none|\*\*\*", re.IGNORECASE
)
_SYSTEM: Final = re.compile(
    r"^(kube-|gpu-operator|nvidia|amd-gpu|openshift-|keda|kserve$|monitoring|node-feature|cert-manager|istio|knative)"
)
_STANDARDS: Final = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"


def _llm(view: View) -> Iterator[Workload]:
    """Workloads with GPUs or inference servers, outside the namespaces of the platform's own agents."""
    servers = {id(s.workload) for s in view.running_servers}
    for workload in view.workloads:
        if workload.template or workload.item.kind == "DaemonSet" or _SYSTEM.match(workload.namespace):
            continue
        if workload.uses_gpu or id(workload) in servers:
            yield workload


def _containers(view: View) -> Iterator[tuple[Workload, Container]]:
    for workload in _llm(view):
        for container in workload.containers:
            yield workload, container


def literal_secret(name: str, value: str) -> bool:
    """Whether an environment variable holds a credential in plain text, and no placeholder."""
    return bool(_SECRET.search(name)) and bool(_REAL.match(value)) and not _PLACEHOLDER.search(value)


@rule(
    "secret-in-environment",
    Area.SECURITY,
    Severity.ERROR,
    title="Credential stands in plain text in the manifest",
    why="Everybody who may read the Deployment or the repository has the token, for as long as it lives in the history.",
    fix="Move it into a Secret, refer to it with secretKeyRef, and revoke the one that was written down.",
    references=("https://kubernetes.io/docs/concepts/configuration/secret/",),
    on=lambda view: ((w, c) for w, c in _containers(view) if c.spec.get("env")),
)
def _secret_in_environment(subject: tuple[Workload, Container], view: View) -> Iterator[Hit]:
    workload, container = subject
    for index, entry in enumerate(container.spec.get("env") or []):
        name, value = str(entry.get("name") or ""), str(entry.get("value") or "")
        if literal_secret(name, value):
            yield Hit(
                workload.item, (*container.path, "env", index, "value"), f"{name} is written out", "***"
            )


@rule(
    "secret-in-arguments",
    Area.SECURITY,
    Severity.ERROR,
    title="API key stands on the command line",
    why="The key is in the manifest, in `ps` on the node and in every event that prints the command.",
    fix="Give it in VLLM_API_KEY from a Secret.",
    references=("vllm 0.33.0 vllm/envs.py (VLLM_API_KEY)",),
    on=lambda view: (
        s for s in view.servers if s.flag("--api-key", "--hf-token") is not None or s.command.flags
    ),
)
def _secret_in_arguments(server: Server, view: View) -> Iterator[Hit]:
    flag = server.flag("--api-key", "--hf-token")
    if flag is not None and flag.value and "$" not in flag.value and not _PLACEHOLDER.search(flag.value):
        raw = [
            str(a)
            for a in [
                *(server.container.spec.get("command") or []),
                *(server.container.spec.get("args") or []),
            ]
        ]
        if any(flag.value in text for text in raw):  # not filled in from the environment
            yield Hit(server.workload.item, flag.words[-1].path, f"{flag.name} is written out", "***")


@rule(
    "gpu-allocation-bypassed",
    Area.SECURITY,
    Severity.ERROR,
    title="Pod takes GPUs past the device plugin",
    why=(
        "NVIDIA_VISIBLE_DEVICES=all shows every GPU of the node to a pod that was given none: it shares memory with whoever owns "
        "them, and their next allocation fails with a CUDA out-of-memory error that no quota explains."
    ),
    fix="Request nvidia.com/gpu, and drop the variable.",
    references=("NVIDIA k8s-device-plugin README.md:362-378", "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html"),
    on=lambda view: (
        (w, c) for w in view.workloads if not w.template and w.item.kind != "DaemonSet" and not _SYSTEM.match(w.namespace)
        for c in w.containers if any(e.get("name") == "NVIDIA_VISIBLE_DEVICES" for e in c.spec.get("env") or [])
    ),
)  # fmt: skip
def _gpu_allocation_bypassed(subject: tuple[Workload, Container], view: View) -> Iterator[Hit]:
    workload, container = subject
    for index, entry in enumerate(container.spec.get("env") or []):
        if (
            entry.get("name") == "NVIDIA_VISIBLE_DEVICES"
            and str(entry.get("value")) not in {"void", "none", ""}
            and "value" in entry
        ):
            path = (*container.path, "env", index)
            yield Hit(
                workload.item,
                path,
                f"NVIDIA_VISIBLE_DEVICES={entry['value']} shows GPUs that were not allocated",
                entry["value"],
                Fix("Drop the variable", (remove(path),)),
            )


@rule(
    "server-privileged",
    Area.SECURITY,
    Severity.ERROR,
    title="GPU workload runs privileged",
    why="A privileged container sees every GPU and device of the node, whatever it was allocated, and an escape from it is root on the host.",
    fix="Drop privileged; GPUs need no privilege, RDMA needs IPC_LOCK only.",
    references=(_STANDARDS,),
    on=_containers,
)
def _server_privileged(subject: tuple[Workload, Container], view: View) -> Iterator[Hit]:
    workload, container = subject
    if (container.spec.get("securityContext") or {}).get("privileged") and not container.init:
        path = (*container.path, "securityContext", "privileged")
        yield Hit(workload.item, path, f"container {container.name} is privileged", True)


@rule(
    "server-shares-host",
    Area.SECURITY,
    Severity.WARNING,
    title="GPU workload shares the host's IPC or process namespace",
    why="hostIPC is often set for shared memory: it opens the memory of every other pod that does the same, and PodSecurity's baseline refuses it.",
    fix="Mount an emptyDir of medium Memory at /dev/shm instead.",
    references=(_STANDARDS,),
    on=_llm,
)
def _server_shares_host(workload: Workload, view: View) -> Iterator[Hit]:
    for key in ("hostIPC", "hostPID"):
        if workload.pod.get(key):
            yield Hit(workload.item, (*workload.path, key), f"{key} is true", True)


@rule(
    "remote-code-trusted",
    Area.SECURITY,
    Severity.WARNING,
    title="Server runs code that comes with the model",
    why="--trust-remote-code runs Python from the model's repository with the pod's credentials: whoever can push there runs code in your cluster.",
    fix="Drop it where the architecture is built in, or serve a reviewed copy by revision.",
    references=("https://huggingface.co/docs/transformers/custom_models#trust-remote-code",),
    on=lambda view: (s for s in view.running_servers if s.command.flags),
)
def _remote_code_trusted(server: Server, view: View) -> Iterator[Hit]:
    flag = server.flag("--trust-remote-code")
    # A local copy is what was reviewed; a pinned revision cannot change under you.
    hub = bool(server.model) and not server.model.startswith("/") and "://" not in server.model
    if (
        flag is not None
        and flag.value.lower() != "false"
        and hub
        and server.flag("--revision", "--code-revision") is None
    ):
        ops = () if flag.scripted else tuple(remove(w.path) for w in flag.words)
        known = server.architecture is not None
        yield Hit(server.workload.item, flag.path, f"{server.model} may bring code of its own, at any revision", flag.name,
                  Fix("Drop --trust-remote-code: the architecture is built in", ops) if known else None)  # fmt: skip


def _exposed(view: View) -> Iterator[tuple[Item, Server]]:
    """Services that lead straight to a model server."""
    for server in view.running_servers:
        for service in view.snapshot.within("Service", server.workload.namespace):
            selector = service.spec.get("selector")
            if selector and all(server.workload.labels.get(k) == v for k, v in selector.items()):
                yield service, server


@rule(
    "server-open-to-the-world",
    Area.SECURITY,
    Severity.WARNING,
    title="Model server is reachable from outside without a key",
    why=(
        "The engine has no authentication unless told, and /metrics stays open even then: whoever finds the address uses your "
        "GPUs, reads prompts' statistics, and can fill the queue for everybody."
    ),
    fix="Use a ClusterIP Service behind a gateway that authenticates, and set VLLM_API_KEY.",
    references=("vllm 0.33.0 vllm/entrypoints/serve/instrumentator/metrics.py",),
    on=_exposed,
)
def _server_open_to_the_world(subject: tuple[Item, Server], view: View) -> Iterator[Hit]:
    service, server = subject
    kind = service.spec.get("type", "ClusterIP")
    keyed = server.flag("--api-key") is not None or any(
        e.get("name") == "VLLM_API_KEY" for e in server.container.spec.get("env") or []
    )
    internal = any("internal" in f"{k}={v}".lower() for k, v in service.annotations.items())
    if kind in {"LoadBalancer", "NodePort"} and not keyed and not internal:
        yield Hit(service, ("spec", "type"), f"{kind} leads to {server} and no API key is set", kind)


def _guarded_namespaces(view: View) -> Iterator[tuple[str, Workload]]:
    seen: set[str] = set()
    for server in view.running_servers:
        namespace = server.workload.namespace
        known = view.knows("NetworkPolicy.networking.k8s.io", namespace) or view.of(
            "NetworkPolicy.networking.k8s.io"
        )
        if namespace and namespace not in seen and known:
            seen.add(namespace)
            yield namespace, server.workload


@rule(
    "namespace-without-network-policy",
    Area.SECURITY,
    Severity.WARNING,
    title="Namespace of model servers has no NetworkPolicy",
    why="Every pod of the cluster may call the servers, past gateway, key and limits, and read their metrics: namespaces are names, not walls.",
    fix="Deny by default, and admit the gateway and Prometheus.",
    references=("https://kubernetes.io/docs/concepts/services-networking/network-policies/",),
    on=_guarded_namespaces,
)
def _namespace_without_network_policy(subject: tuple[str, Workload], view: View) -> Iterator[Hit]:
    namespace, workload = subject
    if not view.snapshot.within("NetworkPolicy.networking.k8s.io", namespace):
        yield Hit(workload.item, ("metadata", "namespace"), f"no NetworkPolicy in {namespace}", namespace)


@rule(
    "namespace-without-pod-security",
    Area.SECURITY,
    Severity.WARNING,
    title="Namespace of GPU workloads enforces no Pod Security level",
    why="Any pod there may be privileged and take every GPU of its node past the device plugin.",
    fix="Label it pod-security.kubernetes.io/enforce: baseline, or restricted where nothing needs more.",
    references=("https://kubernetes.io/docs/concepts/security/pod-security-admission/",),
    on=lambda view: (
        n for n in view.of("Namespace")
        if not _SYSTEM.match(n.name) and any(w.uses_gpu and w.item.kind != "DaemonSet" for w in view.workloads_in(n.name))
    ),
)  # fmt: skip
def _namespace_without_pod_security(item: Item, view: View) -> Iterator[Hit]:
    key = "pod-security.kubernetes.io/enforce"
    if item.labels.get(key, "privileged") != "privileged":
        return
    path = ("metadata", "labels", key)
    plain = all(_baseline(w) for w in view.workloads_in(item.name))
    fix = (
        Fix("Enforce baseline, which every workload here passes", (add(path, "baseline"),)) if plain else None
    )
    yield Hit(item, path, f"{item.name} enforces no level", item.labels.get(key), fix)


def _baseline(workload: Workload) -> bool:
    """The part of baseline that GPU pods usually break."""
    pod: Any = workload.pod
    if (
        pod.get("hostNetwork")
        or pod.get("hostIPC")
        or pod.get("hostPID")
        or any("hostPath" in v for v in pod.get("volumes") or [])
    ):
        return False
    contexts = [c.spec.get("securityContext") or {} for c in workload.containers]
    return not any(c.get("privileged") or (c.get("capabilities") or {}).get("add") for c in contexts)


_ROLES: Final = ("RoleBinding.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io")


def _account_bindings(view: View) -> Iterator[Item]:
    """Bindings of an account that a GPU workload runs under."""
    accounts = {(w.namespace, str(w.pod.get("serviceAccountName") or "default")) for w in _llm(view)}
    for binding in view.of(*_ROLES):
        if any(
            s.get("kind") == "ServiceAccount"
            and (s.get("namespace", binding.namespace), s.get("name")) in accounts
            for s in binding.obj.get("subjects") or []
        ):
            yield binding


@rule(
    "server-account-is-admin",
    Area.SECURITY,
    Severity.ERROR,
    title="Account of a GPU workload is cluster-admin",
    why="A model server that runs remote code, or a notebook, owns the cluster: quotas, priorities and every Secret.",
    fix="Bind a Role with what it needs; a model server needs nothing.",
    references=("https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles",),
    on=_account_bindings,
)
def _server_account_is_admin(item: Item, view: View) -> Iterator[Hit]:
    if item.section("roleRef").get("name") == "cluster-admin":
        yield Hit(
            item, ("roleRef", "name"), "binds cluster-admin to the account of a GPU workload", "cluster-admin"
        )
