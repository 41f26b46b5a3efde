"""Rules of pods and of what makes them that no recording shows; words are those of kubernetes 1.36 (pkg/apis/*/validation)."""

import copy
from typing import Any

import pytest

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.jobs_cron import schedule_error
from stoker.lab.kinds.metadata import finalizer_warnings, is_dns_label, is_qualified_name, object_meta_causes
from stoker.lab.kinds.pod_defaults import pull_policy
from stoker.lab.kinds.pod_resize import prepare_resize, resize_causes
from stoker.lab.kinds.pod_resources import qos_class
from stoker.lab.kinds.pods import binding_causes, termination_grace_s
from stoker.lab.kinds.workload_strategies import STATUS_CAUSES, STRATEGIES
from stoker.lab.schema.builtin import definition, definition_name

Object = dict[str, Any]
_IMAGE = {"name": "c", "image": "x:1"}


def made(api_version: str, kind: str, spec: Object, meta: Object | None = None) -> Object:
    """An object after a create, without admission."""
    group, _, version = api_version.rpartition("/")
    name = definition_name(group, version, kind)
    assert name is not None
    strategy = STRATEGIES[(group, kind)]
    metadata = {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", **(meta or {})}
    if kind not in {"Node", "Namespace"}:
        metadata["namespace"] = "n"
    obj: Object = canonical(
        {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}, definition(name)
    )
    strategy.default(obj)
    strategy.prepare_create(obj)
    return obj


def pod(**spec: Any) -> Object:
    return made("v1", "Pod", {"containers": [dict(_IMAGE)], **spec})


def causes(obj: Object) -> list[str]:
    group = obj["apiVersion"].rpartition("/")[0]
    return [str(cause) for cause in STRATEGIES[(group, obj["kind"])].validate(obj)]


def update_causes(old: Object, **spec: Any) -> list[str]:
    group = old["apiVersion"].rpartition("/")[0]
    stored = copy.deepcopy(old)
    stored["metadata"]["resourceVersion"] = "1"
    new = copy.deepcopy(stored)
    new["spec"].update(spec)
    strategy = STRATEGIES[(group, old["kind"])]
    strategy.prepare_update(new, stored)
    return [str(cause) for cause in strategy.validate_update(new, stored)]


# --- metadata -----------------------------------------------------------------------------------------------------


def test_a_name_with_dots_is_no_label_and_a_prefix_may_end_in_a_dash() -> None:
    assert ("must not contain dots",) == is_dns_label("a.b")
    good = {"metadata": {"generateName": "a-", "name": "a-x", "namespace": "n"}}
    assert [] == object_meta_causes(good, True, is_dns_label)


def test_the_parts_of_a_qualified_name_are_judged_apart() -> None:
    assert () == is_qualified_name("example.com/MyName")
    assert "prefix part must be non-empty" == is_qualified_name("/x")[0]
    assert is_qualified_name("a/b/c")[0].startswith(
        "a valid label key must consist of alphanumeric characters"
    )
    assert "name part must be no more than 63 bytes" == is_qualified_name("x" * 64)[0]


def test_annotations_above_256_kib_are_too_long() -> None:
    obj = {"metadata": {"name": "a", "namespace": "n", "annotations": {"k": "x" * 256 * 1024}}}
    expected = ["metadata.annotations: Too long: may not be more than 262144 bytes"]
    assert expected == [str(cause) for cause in object_meta_causes(obj, True, is_dns_label)]


def test_an_unqualified_finalizer_of_a_custom_resource_is_warned_of() -> None:
    text = (
        "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
    )
    assert [f'metadata.finalizers: "mine": {text}'] == finalizer_warnings(
        {"metadata": {"finalizers": ["mine", "orphan"]}}
    )


# --- pods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("vllm", "Always"),
        ("vllm/vllm-openai:latest", "Always"),
        ("registry:5000/vllm", "Always"),
        ("registry:5000/vllm:v1", "IfNotPresent"),
        ("vllm@sha256:" + "a" * 64, "IfNotPresent"),
        ("Bad Image", "IfNotPresent"),
    ],
)
def test_an_image_without_a_tag_of_its_own_is_always_pulled(image: str, expected: str) -> None:
    assert expected == pull_policy(image)


def test_requests_of_a_pod_are_its_limits_where_they_are_missing() -> None:
    resources = {"limits": {"nvidia.com/gpu": 2, "cpu": "4"}, "requests": {"cpu": "1000m"}}
    found = pod(containers=[{**_IMAGE, "resources": resources}])
    assert {"cpu": "1", "nvidia.com/gpu": "2"} == found["spec"]["containers"][0]["resources"]["requests"]
    assert "Burstable" == found["status"]["qosClass"]


def test_a_template_keeps_requests_as_they_are() -> None:
    container = {**_IMAGE, "resources": {"limits": {"cpu": "4"}}}
    labels = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    found = made("apps/v1", "Deployment", {"selector": {"matchLabels": {"a": "b"}}, "template": labels})
    assert {"limits": {"cpu": "4"}} == found["spec"]["template"]["spec"]["containers"][0]["resources"]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "512Mi"}}, "Burstable"),
    ],
)
def test_quality_of_service_follows_requests_and_limits(resources: Object, expected: str) -> None:
    assert expected == qos_class({"spec": {"containers": [{"resources": resources}]}})


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"limits": {"nvidia.com/gpu": "1500m"}, "requests": {"nvidia.com/gpu": "1500m"}},
            [
                'limits[nvidia.com/gpu]: Invalid value: "1500m": must be an integer',
                'requests[nvidia.com/gpu]: Invalid value: "1500m": must be an integer',
            ],
        ),
        (
            {"limits": {"nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "1"}},
            ['requests: Invalid value: "1": must be equal to nvidia.com/gpu limit of 2'],
        ),
        ({"limits": {"gpu": "1"}}, [
            'limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified',
            'limits[gpu]: Invalid value: "gpu": must be a standard resource for containers',
            'requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified',
            'requests[gpu]: Invalid value: "gpu": must be a standard resource for containers',
        ]),
        (
            {"limits": {"hugepages-2Mi": "3Mi"}},
            [
                'limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
                'requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
                ": Forbidden: HugePages require cpu or memory",
            ],
        ),
    ],
)  # fmt: skip
def test_resources_are_refused_in_the_servers_words(resources: Object, expected: list[str]) -> None:
    head = "spec.containers[0].resources"
    found = causes(pod(containers=[{**_IMAGE, "resources": resources}]))
    assert [f"{head}{'' if one.startswith(':') else '.'}{one}" for one in expected] == found


def test_a_sidecar_may_have_probes_and_an_init_container_may_not() -> None:
    probe = {"tcpSocket": {"port": 80}}
    init = [
        {"name": "a", "image": "x:1", "startupProbe": probe},
        {"name": "b", "image": "x:1", "startupProbe": probe, "restartPolicy": "Always"},
    ]
    text = "may not be set for init containers without restartPolicy=Always"
    assert [f"spec.initContainers[0].startupProbe: Forbidden: {text}"] == causes(pod(initContainers=init))


def test_volumes_and_mounts_are_refused_in_the_servers_words() -> None:
    volumes = [
        {"name": "a", "hostPath": {"path": "/x/../y", "type": "Nope"}},
        {"name": "b", "emptyDir": {}, "secret": {"secretName": "s"}},
        {"name": "B", "csi": {}},
    ]
    mounts = [{"name": "a", "mountPath": "/m", "subPath": "/abs"}]
    found = causes(pod(volumes=volumes, containers=[{**_IMAGE, "volumeMounts": mounts}]))
    assert "spec.volumes[0].hostPath.path: Invalid value: \"/x/../y\": must not contain '..'" == found[0]
    assert found[1].startswith(
        'spec.volumes[0].hostPath.type: Unsupported value: "Nope": supported values: "", "Block'
    )
    assert "spec.volumes[1].secret: Forbidden: may not specify more than 1 volume type" == found[2]
    assert "spec.volumes[2].csi.driver: Required value" == found[3]
    assert 'spec.containers[0].volumeMounts[0].name: Not found: "a"' == found[5]
    assert (
        'spec.containers[0].volumeMounts.subPath: Invalid value: "/abs": must be a relative path' == found[6]
    )


def test_a_field_that_a_variable_may_not_read_is_named_with_those_it_may() -> None:
    env = [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]
    found = causes(pod(containers=[{**_IMAGE, "env": env}]))
    head = 'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase"'
    assert found[0].startswith(f'{head}: supported values: "metadata.name", "metadata.namespace"')


def test_pod_level_resources_hold_what_the_containers_ask_for() -> None:
    container = {**_IMAGE, "resources": {"requests": {"cpu": "2"}}}
    found = pod(containers=[container], resources={"limits": {"cpu": "4"}})
    assert {"limits": {"cpu": "4"}, "requests": {"cpu": "2"}} == found["spec"]["resources"]
    text = "must be greater than or equal to aggregate container requests of 2"
    small = pod(containers=[container], resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})
    assert [f'spec.resources.requests[cpu]: Invalid value: "1": {text}'] == causes(small)


def test_the_host_network_has_one_set_of_ports() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 90, "hostPort": 91}]
    found = pod(hostNetwork=True, containers=[{**_IMAGE, "ports": ports}])
    assert 80 == found["spec"]["containers"][0]["ports"][0]["hostPort"]
    text = "must match `containerPort` when `hostNetwork` is true"
    assert [f"spec.containers[0].ports[1].hostPort: Invalid value: 91: {text}"] == causes(found)


def test_a_pod_may_not_lose_a_container_or_a_toleration() -> None:
    old = pod(tolerations=[{"key": "a", "operator": "Exists"}])
    assert ["spec.containers: Forbidden: pod updates may not add or remove containers"] == update_causes(
        old, containers=[old["spec"]["containers"][0]] * 2
    )[-1:]
    text = "existing toleration can not be modified except its tolerationSeconds"
    assert [f"spec.tolerations: Forbidden: {text}"] == update_causes(old, tolerations=[])


def test_a_change_that_only_rewrites_a_pod_as_it_was_is_none() -> None:
    assert [] == update_causes(pod())


def test_a_container_that_ended_for_good_does_not_run_again() -> None:
    old = pod(restartPolicy="Never")
    old["metadata"]["resourceVersion"] = "1"
    old["status"]["containerStatuses"] = [{"name": "c", "state": {"terminated": {"exitCode": 0}}}]
    new = copy.deepcopy(old)
    new["status"]["containerStatuses"][0]["state"] = {"running": {}}
    text = "may not be transitioned to non-terminated state"
    expected = [f"status.containerStatuses[0].state: Forbidden: {text}"]
    assert expected == [str(one) for one in STATUS_CAUSES[("", "Pod")](new, old)]


def test_warnings_name_duplicates_and_labels_that_go_away() -> None:
    found = pod(
        nodeSelector={"beta.kubernetes.io/arch": "amd64"},
        containers=[
            {
                **_IMAGE,
                "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
                "ports": [{"containerPort": 80}, {"containerPort": 80}],
            }
        ],
    )
    assert [
        'spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use "kubernetes.io/arch" instead',
        'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
        "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
    ] == STRATEGIES[("", "Pod")].warnings(found)


def test_a_pod_on_no_node_is_deleted_at_once_and_one_that_runs_has_its_grace() -> None:
    running = {"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}, "status": {"phase": "Running"}}
    assert (30, 5, 1) == tuple(termination_grace_s(running, asked) for asked in (None, 5, -1))
    assert 0 == termination_grace_s({"spec": {"terminationGracePeriodSeconds": 30}}, None)


def test_a_pod_is_bound_to_a_node_only() -> None:
    found = [str(one) for one in binding_causes({"target": {"kind": "Pod"}})]
    text = 'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"'
    assert [text, "target.name: Required value"] == found


# --- what makes pods ----------------------------------------------------------------------------------------------

_TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [_IMAGE]}}
_SELECTED = {"selector": {"matchLabels": {"a": "b"}}, "template": _TEMPLATE}


def test_a_deployment_that_can_neither_surge_nor_lose_a_pod_is_refused() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}
    found = causes(made("apps/v1", "Deployment", {**_SELECTED, "strategy": rolling}))
    text = "may not be 0 when `maxSurge` is 0"
    assert [f'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": {text}'] == found


def test_a_strategy_of_an_unknown_type_is_printed_as_a_whole() -> None:
    found = causes(made("apps/v1", "Deployment", {**_SELECTED, "strategy": {"type": "Big"}}))
    shown = '{"Type":"Big","RollingUpdate":null}'
    assert [
        f'spec.strategy: Unsupported value: {shown}: supported values: "Recreate", "RollingUpdate"'
    ] == found


def test_claims_of_a_stateful_set_are_typed_and_may_not_change() -> None:
    claim = {
        "metadata": {"name": "d"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = {**_SELECTED, "serviceName": "s", "volumeClaimTemplates": [claim]}
    found = made("apps/v1", "StatefulSet", spec)
    first = found["spec"]["volumeClaimTemplates"][0]
    assert ("v1", "PersistentVolumeClaim", {"phase": "Pending"}) == (
        first["apiVersion"],
        first["kind"],
        first["status"],
    )
    assert [] == causes(found)
    assert update_causes(found, serviceName="t")[0].startswith(
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template'"
    )
    assert [] == update_causes(found, replicas=3)


def test_a_daemon_set_counts_its_templates() -> None:
    found = made("apps/v1", "DaemonSet", _SELECTED)
    assert {"deprecated.daemonset.template.generation": "1"} == found["metadata"]["annotations"]
    new = copy.deepcopy(found)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "y:1"
    STRATEGIES[("apps", "DaemonSet")].prepare_update(new, found)
    assert "2" == new["metadata"]["annotations"]["deprecated.daemonset.template.generation"]


def test_a_job_selects_its_pods_by_its_uid() -> None:
    template = {"spec": {"containers": [_IMAGE], "restartPolicy": "Never"}}
    found = made("batch/v1", "Job", {"template": template})
    assert {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}} == found["spec"]["selector"]
    assert [] == causes(found)
    labels = {"metadata": {"labels": {"job-name": "other"}}}
    wrong = causes(made("batch/v1", "Job", {"template": {**template, **labels}}))
    assert wrong[0].startswith("spec.template.metadata.labels[job-name]: Invalid value: {")
    assert wrong[0].endswith(": must be 'p'")


def test_a_failure_policy_is_refused_in_the_servers_words() -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0]}}]
    template = {"spec": {"containers": [_IMAGE], "restartPolicy": "OnFailure"}}
    found = made("batch/v1", "Job", {"template": template, "podFailurePolicy": {"rules": rules}})
    assert "Failed" == found["spec"]["podReplacementPolicy"]
    text = 'only "Never" is supported when podFailurePolicy is specified'
    assert [
        "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        f'spec.template.spec.restartPolicy: Invalid value: "OnFailure": {text}',
    ] == causes(found)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/5 * * * *", ""),
        ("@hourly", ""),
        ("@every 1h30m", ""),
        ("0 9-17 * jan-mar mon", ""),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@often", "unrecognized descriptor: @often"),
    ],
)
def test_schedules_are_read_as_cron_reads_them(schedule: str, expected: str) -> None:
    assert expected == schedule_error(schedule)


def test_a_cron_job_is_defaulted_and_its_name_leaves_room_for_the_jobs() -> None:
    job = {"spec": {"template": {"spec": {"containers": [_IMAGE], "restartPolicy": "Never"}}}}
    found = made("batch/v1", "CronJob", {"schedule": "@daily", "jobTemplate": job}, {"name": "x" * 53})
    spec = found["spec"]
    assert ("Allow", False, 3, 1) == (
        spec["concurrencyPolicy"],
        spec["suspend"],
        spec["successfulJobsHistoryLimit"],
        spec["failedJobsHistoryLimit"],
    )
    assert [f'metadata.name: Invalid value: "{"x" * 53}": must be no more than 52 characters'] == causes(
        found
    )


# --- nodes and namespaces -----------------------------------------------------------------------------------------


def test_taints_of_a_node_are_one_for_a_key_and_an_effect() -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    shown = '{"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}'
    text = f"Duplicate value: {shown}: taints must be unique by key and effect pair"
    assert [f"metadata.taints[1]: {text}"] == causes(made("v1", "Node", {"taints": [taint, taint]}))


def test_the_addresses_of_a_nodes_pods_may_not_change() -> None:
    old = made("v1", "Node", {"podCIDR": "10.0.0.0/24"})
    assert ["10.0.0.0/24"] == old["spec"]["podCIDRs"]
    text = 'node updates may not change podCIDR except from "" to valid'
    found = update_causes(old, podCIDR="10.1.0.0/24", podCIDRs=["10.1.0.0/24"])
    assert [f"spec.podCIDRs: Forbidden: {text}"] == found


def test_a_namespace_is_active_labelled_and_held_by_its_finalizer() -> None:
    found = made("v1", "Namespace", {})
    assert {"kubernetes.io/metadata.name": "p"} == found["metadata"]["labels"]
    assert ({"finalizers": ["kubernetes"]}, {"phase": "Active"}) == (found["spec"], found["status"])
    assert [] == causes(found)
    text = "name is neither a standard finalizer name nor is it fully qualified"
    found["spec"]["finalizers"] = ["mine"]
    assert [f'spec.finalizers: Invalid value: "mine": {text}'] == causes(found)


# --- resize -------------------------------------------------------------------------------------------------------


def _resized(old: Object, resources: Object) -> list[str]:
    old["metadata"]["resourceVersion"] = "1"
    new = copy.deepcopy(old)
    new["spec"]["containers"][0]["resources"] = resources
    new["spec"]["containers"][0]["image"] = "dropped:1"
    prepare_resize(new, old)
    assert old["spec"]["containers"][0]["image"] == new["spec"]["containers"][0]["image"]
    return [str(cause) for cause in resize_causes(new, old)]


def test_only_cpu_and_memory_of_a_running_pod_are_resized() -> None:
    held = {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}, "requests": {"cpu": "1", "nvidia.com/gpu": "1"}}
    old = pod(containers=[{**_IMAGE, "resources": held}])
    more_cpu = {side: {"cpu": "2", "nvidia.com/gpu": "1"} for side in held}
    more_gpu = {side: {"cpu": "1", "nvidia.com/gpu": "2"} for side in held}
    assert [] == _resized(old, more_cpu)
    assert ["spec: Forbidden: only cpu and memory resources are mutable"] == _resized(old, more_gpu)


def test_a_resize_takes_no_request_away_and_keeps_the_quality_of_service() -> None:
    old = pod(containers=[{**_IMAGE, "resources": {"requests": {"cpu": "1"}}}])
    assert [
        'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
    ] == _resized(old, {})
