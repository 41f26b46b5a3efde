"""LimitRanges, priorities, runtime classes and validation in the server's words; sources are named at each."""

from typing import Any

import pytest

from stoker.twin.admission import Tenancy

Object = dict[str, Any]


def pod(spec: Object | None = None, **resources: Object) -> Object:
    containers = [{"name": "c", "resources": resources}]
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": containers, **(spec or {})}}


def limit_range(name: str, *limits: Object) -> Object:
    return {
        "kind": "LimitRange",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"limits": list(limits)},
    }


def said(item: Object, *policies: Object) -> str:
    found = Tenancy(policies).try_admit(item)
    return found if isinstance(found, str) else ""


# plugin/pkg/admission/limitranger/admission.go: minConstraint, maxConstraint, limitRequestRatioConstraint.
@pytest.mark.parametrize(
    ("limit", "resources", "words"),
    [
        (
            {"min": {"memory": "1G"}},
            {"requests": {"memory": "500M"}},
            "minimum memory usage per Container is 1G, but request is 500M",
        ),
        (
            {"max": {"memory": "1.5Gi"}},
            {"limits": {"memory": "2048Mi"}},
            "maximum memory usage per Container is 1536Mi, but limit is 2Gi",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "1.5"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
            "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}},
            "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {},
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
    ],
)
def test_a_container_out_of_bounds_is_told_the_bound_as_it_was_written(
    limit: Object, resources: Object, words: str
) -> None:
    found = said(pod(**resources), limit_range("l", {"type": "Container", **limit}))
    assert found == f'pods "p" is forbidden: {words}'


def test_what_is_wrong_twice_is_said_once_and_items_are_taken_in_order() -> None:
    # apimachinery util/errors/errors.go aggregate.Error leaves repeated messages out.
    items = ({"type": "Pod", "max": {"cpu": "3"}}, {"type": "Container", "min": {"cpu": "2"}})
    containers = [
        {"name": name, "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}}} for name in "ab"
    ]
    assert said(pod({"containers": containers}), limit_range("l", *items)) == (
        'pods "p" is forbidden: [maximum cpu usage per Pod is 3, but limit is 8, '
        "minimum cpu usage per Container is 2, but request is 1]"
    )


def test_the_first_limit_range_that_is_broken_speaks_alone() -> None:
    # LimitRanger.runLimitFunc returns at the first.
    ranges = [
        limit_range(name, {"type": "Container", "min": {"cpu": least}})
        for name, least in (("a", "2"), ("b", "3"))
    ]
    item = pod(requests={"cpu": "1"})
    assert (
        said(item, *ranges) == 'pods "p" is forbidden: minimum cpu usage per Container is 2, but request is 1'
    )


def test_of_several_defaults_in_a_limit_range_the_last_counts() -> None:
    items = [
        {"type": "Container", "default": {"cpu": cpu}, "defaultRequest": {"cpu": cpu}} for cpu in ("1", "2")
    ]
    found = Tenancy([limit_range("l", *items)]).try_admit(pod())
    assert isinstance(found, dict)
    assert found["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}


def test_a_pods_own_resources_go_before_those_of_its_containers_and_overhead_is_not_bounded() -> None:
    whole = {"resources": {"requests": {"cpu": "5"}, "limits": {"cpu": "6"}}, "overhead": {"cpu": "9"}}
    item = pod(whole, requests={"cpu": "1"}, limits={"cpu": "2"})
    assert said(item, limit_range("l", {"type": "Pod", "max": {"cpu": "5"}})) == (
        'pods "p" is forbidden: maximum cpu usage per Pod is 5, but limit is 6'
    )
    assert not said(item, limit_range("l", {"type": "Pod", "max": {"cpu": "6"}}))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("200Gi", "maximum storage usage per PersistentVolumeClaim is 100Gi, but request is 200Gi"),
        ("512Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi"),
        ("1Gi", ""),
    ],
)
def test_claims_are_bounded(asked: str, words: str) -> None:
    item = {"type": "PersistentVolumeClaim", "max": {"storage": "100Gi"}, "min": {"storage": "1Gi"}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "m", "namespace": "ns"},
        "spec": {"resources": {"requests": {"storage": asked}}},
    }
    start = 'persistentvolumeclaims "m" is forbidden: ' if words else ""
    assert Tenancy([limit_range("l", item)]).try_create(claim) == start + words


def priority_class(name: str, value: int, **more: Any) -> Object:
    return {"kind": "PriorityClass", "metadata": {"name": name}, "value": value, **more}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"priorityClassName": "high", "priority": 5},
            (
                "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed "
                "1000 from the given PriorityClass name"
            ),
        ),
        (
            {"priorityClassName": "polite", "preemptionPolicy": "PreemptLowerPriority"},
            (
                "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority "
                "admission controller computed Never from the given PriorityClass name"
            ),
        ),
        ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
        ({"priorityClassName": "high", "priority": 1000}, ""),
        ({"priorityClassName": "system-node-critical"}, ""),
    ],
)
def test_a_pod_cannot_choose_its_own_priority(spec: Object, words: str) -> None:
    # plugin/pkg/admission/priority/admission.go admitPod.
    classes = (priority_class("high", 1000), priority_class("polite", 10, preemptionPolicy="Never"))
    assert said(pod(spec), *classes) == (f'pods "p" is forbidden: {words}' if words else "")


def test_a_pod_without_a_class_gets_the_default_one_whole() -> None:
    default = priority_class("base", 7, globalDefault=True, preemptionPolicy="Never")
    found = Tenancy([default]).try_admit(pod())
    assert isinstance(found, dict)
    spec = found["spec"]
    assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == ("base", 7, "Never")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            priority_class("system-node-critical", 5),
            (
                'PriorityClass.scheduling.k8s.io "system-node-critical" is invalid: metadata.name: Forbidden: priority class '
                "names with 'system-' prefix are reserved for system use only. error: value of system-node-critical "
                "PriorityClass must be 2000001000"
            ),
        ),
        (
            priority_class("second", 5, globalDefault=True),
            (
                'priorityclasses.scheduling.k8s.io "second" is forbidden: PriorityClass base is already marked as default. '
                "Only one default can exist"
            ),
        ),
        (priority_class("fine", 1_000_000_000), ""),
    ],
)
def test_priority_classes_are_checked(item: Object, words: str) -> None:
    # pkg/apis/scheduling/v1/helpers.go IsKnownSystemPriorityClass.
    assert Tenancy([priority_class("base", 7, globalDefault=True)]).try_create(item) == words


def test_a_runtime_class_gives_overhead_nodes_and_tolerations() -> None:
    # plugin/pkg/admission/runtimeclass/admission.go.
    runtime = {
        "kind": "RuntimeClass",
        "metadata": {"name": "kata"},
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {
            "nodeSelector": {"kata": "yes"},
            "tolerations": [{"key": "kata", "operator": "Exists"}],
        },
    }
    found = Tenancy([runtime]).try_admit(pod({"runtimeClassName": "kata"}))
    assert isinstance(found, dict)
    assert found["spec"]["overhead"] == {"cpu": "250m"}
    assert found["spec"]["nodeSelector"] == {"kata": "yes"}
    assert found["spec"]["tolerations"] == [{"key": "kata", "operator": "Exists"}]
    assert said(pod({"runtimeClassName": "gvisor"}), runtime) == (
        'pods "p" is forbidden: pod rejected: RuntimeClass "gvisor" not found'
    )
    assert said(pod({"runtimeClassName": "kata", "nodeSelector": {"kata": "no"}}), runtime) == (
        'pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] '
        "= no"
    )
    assert said(pod({"overhead": {"cpu": "1"}}), runtime) == (
        'pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead'
    )


# pkg/apis/core/validation/validation.go validateResourceRequirements, validatePodResourceConsistency.
@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            pod(limits={"nvidia.com/gpu": "0.5"}),
            (
                '[spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer, '
                'spec.containers[0].resources.requests[nvidia.com/gpu]: Invalid value: "500m": must be an integer]'
            ),
        ),
        (
            pod(requests={"gpu": "1"}),
            (
                '[spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully '
                'qualified, spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for '
                "containers]"
            ),
        ),
        (
            pod({"resources": {"requests": {"cpu": "1"}}}, requests={"cpu": "2"}),
            (
                'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container '
                "requests of 2"
            ),
        ),
    ],
)
def test_resources_that_make_no_sense_are_invalid(item: Object, words: str) -> None:
    assert said(item) == f'Pod "p" is invalid: {words}'


# pkg/apis/core/validation/validation.go ValidateLimitRange, validateScopedResourceSelectorRequirement.
@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            limit_range("l", {"type": "Container", "min": {"cpu": "3"}, "max": {"cpu": "2"}}),
            (
                'LimitRange "l" is invalid: [spec.limits[0].min[cpu]: Invalid value: "3": min value 3 is greater than max '
                'value 2, spec.limits[0].defaultRequest[cpu]: Invalid value: "2": min value 3 is greater than default '
                'request value 2, spec.limits[0].default[cpu]: Invalid value: "3": min value 3 is greater than default '
                "value 2]"
            ),
        ),
        (
            limit_range("l", {"type": "Container", "default": {"cpu": "3"}, "max": {"cpu": "2"}}),
            (
                'LimitRange "l" is invalid: [spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value '
                '3 is greater than max value 2, spec.limits[0].default[cpu]: Invalid value: "2": default value 3 is '
                "greater than max value 2]"
            ),
        ),
        (
            limit_range("l", {"type": "Pod", "default": {"cpu": "3"}}, {"type": "Pod"}),
            (
                "LimitRange \"l\" is invalid: [spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod', "
                'spec.limits[1].type: Duplicate value: "Pod"]'
            ),
        ),
        (
            limit_range("l", {"type": "PersistentVolumeClaim"}),
            (
                'LimitRange "l" is invalid: spec.limits[0].limits: Required value: either minimum or maximum storage value is '
                "required, but neither was provided"
            ),
        ),
        (
            limit_range("l", {"type": "Container", "maxLimitRequestRatio": {"memory": "0.5"}}),
            (
                'LimitRange "l" is invalid: spec.limits[0].maxLimitRequestRatio[memory]: Invalid value: "500m": ratio 500m is '
                "less than 1"
            ),
        ),
        (
            {
                "kind": "ResourceQuota",
                "metadata": {"name": "q"},
                "spec": {
                    "hard": {"pods": "1"},
                    "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]},
                },
            },
            (
                'ResourceQuota "q" is invalid: spec.scopeSelector.matchExpressions.values: Required value: must be at least one '
                "value when `operator` is 'In' or 'NotIn' for scope selector"
            ),
        ),
        (
            {
                "kind": "ResourceQuota",
                "metadata": {"name": "q"},
                "spec": {"hard": {"requests.cpu": "1"}, "scopes": ["BestEffort"]},
            },
            (
                'ResourceQuota "q" is invalid: spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to '
                "resource"
            ),
        ),
    ],
)
def test_bounds_and_quotas_that_make_no_sense_are_invalid(item: Object, words: str) -> None:
    assert Tenancy([]).try_create(item) == words
