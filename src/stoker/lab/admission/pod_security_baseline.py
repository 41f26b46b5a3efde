"""Checks of the Pod Security Standards' baseline level, in the words of the admission plugin.

Source: staging/src/k8s.io/pod-security-admission/policy/check_*.go. A check returns reason and detail, or None.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from stoker.lab.status import printed

__all__ = [
    "BASELINE",
    "Check",
    "Finding",
    "containers_of",
    "each",
    "named",
    "proc_mount",
    "quoted",
    "setters",
]

Finding = tuple[str, str]
# (metadata, spec) of a pod or of a template.
Check = Callable[[dict[str, Any], dict[str, Any]], Finding | None]

_CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
     "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip
_SYSCTLS_1_0 = frozenset(
    ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
     "net.ipv4.ip_unprivileged_port_start")
)  # fmt: skip
_SYSCTLS_1_27 = _SYSCTLS_1_0 | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_1_29 = _SYSCTLS_1_27 | {
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_SYSCTLS_1_32 = _SYSCTLS_1_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SELINUX_1_0 = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SELINUX_1_31 = _SELINUX_1_0 | {"container_engine_t"}
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_PROFILES = frozenset(("RuntimeDefault", "Localhost"))


# --- shared words -------------------------------------------------------------------------------------------------


def containers_of(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, container and security context of every container."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield container.get("name", ""), container, container.get("securityContext") or {}


def quoted(items: Iterable[str]) -> str:
    listed = '", "'.join(items)
    return f'"{listed}"' if listed else ""


def each(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def named(names: Collection[str], word: str = "container") -> str:
    """``container "a"`` or ``containers "a", "b"``."""
    return f"{each(word, len(names))} {quoted(names)}"


def setters(containers: Collection[str], *, with_pod: bool) -> str:
    """Who sets something: the pod, containers, or both; empty for nobody."""
    found = ["pod"] if with_pod else []
    if containers:
        found.append(named(containers))
    return " and ".join(found)


# --- checks -------------------------------------------------------------------------------------------------------


def _strange_profiles(spec: dict[str, Any], field: str) -> tuple[str, set[str]]:
    """Who sets a profile of a type that is not allowed, and those types."""
    bad: set[str] = set()

    def is_bad(context: dict[str, Any]) -> bool:
        profile = context.get(field)
        if profile is None or profile.get("type") in _PROFILES:
            return False
        bad.add(profile.get("type", ""))
        return True

    who = setters(
        [name for name, _, context in containers_of(spec) if is_bad(context)],
        with_pod=is_bad(spec.get("securityContext") or {}),
    )
    return who, bad


def _apparmor(metadata: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    who, bad = _strange_profiles(spec, "appArmorProfile")
    annotations = sorted(
        f"{key}={printed(value)}"
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(_APPARMOR)
        and value not in {"", "runtime/default"}
        and not value.startswith("localhost/")
    )
    if annotations:
        who = " and ".join(filter(None, (who, each("annotation", len(annotations)))))
    if not who:
        return None
    values = sorted(bad) + annotations
    return (
        each("forbidden AppArmor profile", len(values)),
        f"{who} must not set AppArmor profile type to {quoted(values)}",
    )


def _capabilities(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    containers, bad = [], set()
    for name, _container, context in containers_of(spec):
        added = set((context.get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if added:
            containers.append(name)
            bad |= added
    if not containers:
        return None
    return (
        "non-default capabilities",
        f"{named(containers)} must not include {quoted(sorted(bad))} in securityContext.capabilities.add",
    )


def _host_namespaces(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    found = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return ("host namespaces", ", ".join(found)) if found else None


def _host_paths(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    found = [volume["name"] for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return ("hostPath volumes", named(found, "volume")) if found else None


def _host_ports(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    containers, ports = [], set()
    for name, container, _context in containers_of(spec):
        used = {str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")}
        if used:
            containers.append(name)
            ports |= used
    if not containers:
        return None
    verb = "uses" if len(containers) == 1 else "use"
    return (
        "hostPort",
        f"{named(containers)} {verb} {each('hostPort', len(ports))} {', '.join(sorted(ports))}",
    )


def _hosts(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    containers, hosts = set(), set()
    for name, container, _context in containers_of(spec):
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(field) for field in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
        named_hosts = {
            str(handler[action]["host"])
            for handler in handlers
            if handler
            for action in ("httpGet", "tcpSocket")
            if (handler.get(action) or {}).get("host")
        }
        if named_hosts:
            containers.add(name)
            hosts |= named_hosts
    if not containers:
        return None
    verb = "uses" if len(containers) == 1 else "use"
    what = each("probe or lifecycle host", len(hosts))
    return "probe or lifecycle host", f"{named(sorted(containers))} {verb} {what} {quoted(sorted(hosts))}"


def _privileged(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    found = [name for name, _, context in containers_of(spec) if context.get("privileged")]
    return ("privileged", f"{named(found)} must not set securityContext.privileged=true") if found else None


def proc_mount(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    containers, bad = [], set()
    for name, _container, context in containers_of(spec):
        kind = context.get("procMount", "Default")
        if kind != "Default":
            containers.append(name)
            bad.add(kind)
    if not containers:
        return None
    return (
        "procMount",
        f"{named(containers)} must not set securityContext.procMount to {quoted(sorted(bad))}",
    )


def _proc_mount_1_35(metadata: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    # A pod with users of its own may see /proc as it is.
    return None if spec.get("hostUsers") is False else proc_mount(metadata, spec)


def _selinux(allowed: frozenset[str]) -> Check:
    def check(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
        types: set[str] = set()
        fields: set[str] = set()

        def is_bad(context: dict[str, Any]) -> bool:
            options = context.get("seLinuxOptions")
            if options is None:
                return False
            wrong = {field for field in ("user", "role") if options.get(field)}
            fields.update(wrong)
            kind = options.get("type", "")
            if kind not in allowed:
                types.add(kind)
            return bool(wrong) or kind not in allowed

        who = setters(
            [name for name, _, context in containers_of(spec) if is_bad(context)],
            with_pod=is_bad(spec.get("securityContext") or {}),
        )
        if not who:
            return None
        what = [named(sorted(types), "type")] if types else []
        what += [f"{field} may not be set" for field in ("user", "role") if field in fields]
        return "seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}"

    return check


def _seccomp_1_0(metadata: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    annotations = metadata.get("annotations") or {}
    keys = [_SECCOMP_POD, *(_SECCOMP_CONTAINER + name for name, _, _ in containers_of(spec))]
    bad = sorted(
        {
            f"{key}={printed(annotations[key])}"
            for key in keys
            if key in annotations
            and annotations[key] not in {"runtime/default", "docker/default"}
            and not annotations[key].startswith("localhost/")
        }
    )
    return ("seccompProfile", f"forbidden {each('annotation', len(bad))} {', '.join(bad)}") if bad else None


def _seccomp_1_19(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    who, bad = _strange_profiles(spec, "seccompProfile")
    if not who:
        return None
    return (
        "seccompProfile",
        f"{who} must not set securityContext.seccompProfile.type to {quoted(sorted(bad))}",
    )


def _sysctls(allowed: frozenset[str]) -> Check:
    def check(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
        listed = (spec.get("securityContext") or {}).get("sysctls") or ()
        found = [one["name"] for one in listed if one["name"] not in allowed]
        return ("forbidden sysctls", ", ".join(found)) if found else None

    return check


def _host_process(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    def is_bad(context: dict[str, Any]) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    who = setters(
        [name for name, _, context in containers_of(spec) if is_bad(context)],
        with_pod=is_bad(spec.get("securityContext") or {}),
    )
    return (
        ("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")
        if who
        else None
    )


# By name, in the order of names: (first minor version of 1.x, check).
BASELINE: dict[str, tuple[tuple[int, Check], ...]] = {
    "appArmorProfile": ((0, _apparmor),),
    "capabilities_baseline": ((0, _capabilities),),
    "hostNamespaces": ((0, _host_namespaces),),
    "hostPathVolumes": ((0, _host_paths),),
    "hostPorts": ((0, _host_ports),),
    "hostProbesAndHostLifecycle": ((34, _hosts),),
    "privileged": ((0, _privileged),),
    "procMount": ((0, proc_mount), (35, _proc_mount_1_35)),
    "seLinuxOptions": ((0, _selinux(_SELINUX_1_0)), (31, _selinux(_SELINUX_1_31))),
    "seccompProfile_baseline": ((0, _seccomp_1_0), (19, _seccomp_1_19)),
    "sysctls": (
        (0, _sysctls(_SYSCTLS_1_0)),
        (27, _sysctls(_SYSCTLS_1_27)),
        (29, _sysctls(_SYSCTLS_1_29)),
        (32, _sysctls(_SYSCTLS_1_32)),
    ),
    "windowsHostProcess": ((0, _host_process),),
}
