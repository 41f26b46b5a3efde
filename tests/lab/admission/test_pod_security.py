"""Pod Security: labels of namespaces, pods, templates."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.lab.admission.pod_security_restricted import findings
from stoker.lab.status import ApiError

Object = dict[str, Any]
Pod = Callable[..., Object]
PREFIX = "pod-security.kubernetes.io/"
GOOD: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def labels(**levels: str) -> dict[str, str]:
    return {PREFIX + key.replace("_", "-"): value for key, value in levels.items()}


def spec(context: Object | None = None, **fields: Any) -> Object:
    container: Object = {"name": "a", "image": "x"}
    if context is not None:
        container["securityContext"] = context
    return {"containers": [container], **fields}


def details(level: str, minor: int, found: Object, annotations: Object | None = None) -> list[str]:
    told = findings(level, minor, {"annotations": annotations or {}}, found)
    return [f"{reason} ({detail})" for reason, detail in told]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (spec(hostNetwork=True, hostPID=True), ["host namespaces (hostNetwork=true, hostPID=true)"]),
        (
            spec({"privileged": True}),
            ['privileged (container "a" must not set securityContext.privileged=true)'],
        ),
        (
            spec({"capabilities": {"add": ["NET_RAW", "CHOWN", "BPF"]}}),
            [
                'non-default capabilities (container "a" must not include "BPF", "NET_RAW" in securityContext.capabilities.add)'
            ],
        ),
        (spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), ['hostPath volumes (volume "v")']),
        (
            {
                "containers": [
                    {"name": "a", "ports": [{"hostPort": 90}, {"hostPort": 80}]},
                    {"name": "b", "ports": [{"hostPort": 80}]},
                ]
            },
            ['hostPort (containers "a", "b" use hostPorts 80, 90)'],
        ),
        (
            {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h", "port": 1}}}]},
            ['probe or lifecycle host (container "a" uses probe or lifecycle host "h")'],
        ),
        (
            spec({"procMount": "Unmasked"}),
            ['procMount (container "a" must not set securityContext.procMount to "Unmasked")'],
        ),
        (spec({"procMount": "Unmasked"}, hostUsers=False), []),
        (
            spec(
                {"seLinuxOptions": {"type": "odd", "user": "u"}},
                securityContext={"seLinuxOptions": {"role": "r"}},
            ),
            [
                (
                    'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "odd"; user may not be '
                    "set; role may not be set)"
                )
            ],
        ),
        (
            spec({"seccompProfile": {"type": "Unconfined"}}),
            [
                'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")'
            ],
        ),
        (
            spec(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
            ['forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")'],
        ),
        (
            spec(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}),
            ["forbidden sysctls (kernel.msgmax)"],
        ),
        (
            spec(securityContext={"windowsOptions": {"hostProcess": True}}),
            ["hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"],
        ),
        (spec(), []),
    ],
)
def test_baseline_names_what_it_forbids(found: Object, words: list[str]) -> None:
    assert words == details("baseline", 36, found)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (spec(GOOD), []),
        (
            spec({**GOOD, "capabilities": {"add": ["CHOWN"]}}),
            [
                (
                    'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not '
                    'include "CHOWN" in securityContext.capabilities.add)'
                )
            ],
        ),
        (
            spec(
                GOOD,
                volumes=[
                    {"name": "v", "hostPath": {}},
                    {"name": "w", "nfs": {}},
                    {"name": "x", "emptyDir": {}},
                ],
            ),
            ['restricted volume types (volumes "v", "w" use restricted volume types "hostPath", "nfs")'],
        ),
        (
            spec({**GOOD, "runAsNonRoot": False}, securityContext={"runAsNonRoot": True}),
            ['runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)'],
        ),
        (spec({**GOOD, "runAsUser": 0}), ['runAsUser=0 (container "a" must not set runAsUser=0)']),
        (
            spec({key: value for key, value in GOOD.items() if key != "seccompProfile"}),
            [
                (
                    'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
                    '"Localhost")'
                )
            ],
        ),
        (spec({}, os={"name": "windows"}, securityContext={"runAsNonRoot": True}), []),
    ],
)
def test_restricted_names_what_it_misses(found: Object, words: list[str]) -> None:
    assert words == details("restricted", 36, found)


def test_older_versions_check_less() -> None:
    probe = {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h"}}}]}
    assert [] == details("baseline", 33, probe)
    assert ["allowPrivilegeEscalation != false", "runAsNonRoot != true"] == [
        reason for reason, _ in findings("restricted", 18, {}, spec())
    ]
    annotated = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    assert [
        'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")'
    ] == details("baseline", 18, spec(), annotated)


def test_what_is_enforced_refuses_and_what_is_warned_of_warns(world: Any, pod: Pod) -> None:
    world.namespace(labels=labels(enforce="baseline", enforce_version="v1.30", warn="restricted"))
    with pytest.raises(ApiError) as error:
        world.validate("PodSecurity", pod(hostPID=True))
    text = 'pods "p" is forbidden: violates PodSecurity "baseline:v1.30": host namespaces (hostPID=true)'
    assert (403, text) == (error.value.code, error.value.message)
    (warning,) = world.validate("PodSecurity", pod()).warnings
    assert warning.startswith(
        'would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" '
    )


def test_who_enforces_only_is_warned_of_the_same_on_workloads(world: Any, pod: Pod) -> None:
    world.namespace(labels=labels(enforce="baseline", enforce_version="v1.30"))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {**pod()["spec"], "hostPID": True}}
    for group, kind, body in (
        ("apps/v1", "Deployment", {"template": template}),
        ("batch/v1", "Job", {"template": template}),
        ("batch/v1", "CronJob", {"jobTemplate": {"spec": {"template": template}}}),
    ):
        workload = {
            "apiVersion": group,
            "kind": kind,
            "metadata": {"name": "w", "namespace": "n"},
            "spec": body,
        }
        review = world.validate("PodSecurity", workload)
        assert [
            'would violate PodSecurity "baseline:v1.30": host namespaces (hostPID=true)'
        ] == review.warnings


def test_updates_that_change_no_image_are_not_looked_at(world: Any, pod: Pod) -> None:
    world.namespace(labels=labels(enforce="baseline"))
    old = pod(hostPID=True)
    world.validate("PodSecurity", old, "UPDATE", old=old)
    new = pod(hostPID=True)
    new["spec"]["containers"][0]["image"] = "y"
    with pytest.raises(ApiError):
        world.validate("PodSecurity", new, "UPDATE", old=old)
    world.validate("PodSecurity", new, "UPDATE", old=old, subresource="status")


def test_wrong_labels_are_refused_where_they_are_new(world: Any) -> None:
    wrong = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "m", "labels": labels(enforce="high", warn_version="1.30")},
    }
    with pytest.raises(ApiError) as error:
        world.validate("PodSecurity", wrong)
    assert (422, "Invalid") == (error.value.code, error.value.reason)
    assert error.value.message == (
        'Namespace "m" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "high": must be one of '
        "privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "
        '"1.30": must be "latest" or "v1.x"]'
    )
    world.validate("PodSecurity", wrong, "UPDATE", old=wrong)


def test_a_stricter_namespace_names_the_pods_that_would_not_be_let_in(world: Any, pod: Pod) -> None:
    for name in ("b", "a", "c"):
        world.put(pod(name, hostPID=True))
    world.put(pod("d", hostIPC=True, volumes=[{"name": "v", "hostPath": {}}]))
    world.put(pod("fine"))
    old = world.namespace()
    new = {**old, "metadata": {**old["metadata"], "labels": labels(enforce="baseline")}}
    assert [
        'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 2 other pods): host namespaces",
        "d: host namespaces, hostPath volumes",
    ] == world.validate("PodSecurity", new, "UPDATE", old=old).warnings
    assert [] == world.validate("PodSecurity", old, "UPDATE", old=new).warnings
