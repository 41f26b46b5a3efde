"""Pod Security Standards, latest version, as the admission controller checks them.

Sources: kubernetes.io/docs/concepts/security/pod-security-standards; staging/src/k8s.io/pod-security-admission/policy.
"""

from collections.abc import Iterator
from typing import Any

_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}  # fmt: skip
_SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def violations(spec: dict[str, Any], level: str) -> list[str]:
    """What keeps a pod specification from the level: ``privileged``, ``baseline`` or ``restricted``."""
    if level == "privileged":
        return []
    found = list(_baseline(spec))
    if level == "restricted":
        found += _restricted(spec)
    return found


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        c for field in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(field) or []
    ]


def _contexts(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    contexts = [("pod", spec.get("securityContext") or {})]
    return contexts + [(c.get("name", ""), c.get("securityContext") or {}) for c in _containers(spec)]


def _baseline(spec: dict[str, Any]) -> Iterator[str]:  # noqa: C901, PLR0912  # one rule a branch
    yield from (f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field))
    if any("hostPath" in volume for volume in spec.get("volumes") or []):
        yield "hostPath volumes"
    for name, context in _contexts(spec):
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield f"{name}: hostProcess"
        if context.get("privileged"):
            yield f"{name}: privileged"
        extra = set((context.get("capabilities") or {}).get("add") or []) - _CAPABILITIES
        if extra:
            yield f"{name}: capabilities {sorted(extra)}"
        selinux = context.get("seLinuxOptions") or {}
        if selinux.get("type", "") not in _SELINUX or selinux.get("user") or selinux.get("role"):
            yield f"{name}: seLinuxOptions"
        if context.get("procMount", "Default") != "Default":
            yield f"{name}: procMount"
        if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
            yield f"{name}: seccompProfile Unconfined"
        if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
            yield f"{name}: appArmorProfile Unconfined"
        for sysctl in context.get("sysctls") or []:
            if sysctl["name"] not in _SYSCTLS:
                yield f"{name}: sysctl {sysctl['name']}"
    for container in _containers(spec):
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield f"{container.get('name')}: hostPort"
        yield from _hosts(container)


def _hosts(container: dict[str, Any]) -> Iterator[str]:
    """Probes and hooks name no host (baseline since 1.34)."""
    hooks = list((container.get("lifecycle") or {}).values())
    probes = [container.get(field) or {} for field in ("livenessProbe", "readinessProbe", "startupProbe")]
    for handler in [*hooks, *probes]:
        for action in ("httpGet", "tcpSocket"):
            if (handler.get(action) or {}).get("host"):
                yield f"{container.get('name')}: host in a probe or hook"


def _restricted(spec: dict[str, Any]) -> Iterator[str]:  # noqa: C901  # one rule a branch
    pod = spec.get("securityContext") or {}
    for volume in spec.get("volumes") or []:
        if set(volume) - {"name"} - _RESTRICTED_VOLUMES:
            yield f"volume {volume['name']}: restricted type"
    if pod.get("runAsUser") == 0:
        yield "runAsUser=0"
    for container in _containers(spec):
        name, context = container.get("name", ""), container.get("securityContext") or {}
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation != false"
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []):
            yield f"{name}: must drop ALL capabilities"
        if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
            yield f"{name}: may add NET_BIND_SERVICE only"
        if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot != true"
        if context.get("runAsUser") == 0:
            yield f"{name}: runAsUser=0"
        profile = (context.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
        if profile not in {"RuntimeDefault", "Localhost"}:
            yield f"{name}: seccompProfile must be RuntimeDefault or Localhost"
