"""Validating admission policies and their bindings."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.lab.status import ApiError

Object = dict[str, Any]
Pod = Callable[..., Object]
GROUP = "admissionregistration.k8s.io/v1"
PODS = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def policy(
    world: Any,
    *validations: Object,
    rules: list[Object] | None = None,
    constraints: Object | None = None,
    **spec: Any,
) -> None:
    world.put(
        {
            "apiVersion": GROUP,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "p"},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": rules or [PODS],
                    "matchPolicy": "Equivalent",
                    **(constraints or {}),
                },
                "validations": list(validations),
                **spec,
            },
        }
    )


def bind(world: Any, *actions: str, **spec: Any) -> None:
    world.put(
        {
            "apiVersion": GROUP,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "b"},
            "spec": {"policyName": "p", "validationActions": list(actions) or ["Deny"], **spec},
        }
    )


def denial(world: Any, obj: Object, operation: str = "CREATE", **more: Any) -> str:
    with pytest.raises(ApiError) as error:
        world.validate("ValidatingAdmissionPolicy", obj, operation, **more)
    lead = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
    text: str = error.value.message.partition(lead)[2]
    return text


def test_a_denial_is_told_in_the_servers_words(world: Any, pod: Pod) -> None:
    policy(world, {"expression": "has(object.spec.priorityClassName)", "message": " set a class "})
    world.validate("ValidatingAdmissionPolicy", pod())
    bind(world)
    with pytest.raises(ApiError) as error:
        world.validate("ValidatingAdmissionPolicy", pod())
    text = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: set a class"
    assert {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'pods "p" is forbidden: {text}',
        "reason": "Invalid",
        "details": {"name": "p", "kind": "pods", "causes": [{"message": text}]},
        "code": 422,
    } == error.value.document()
    world.validate("ValidatingAdmissionPolicy", pod(priorityClassName="x"))


def test_a_reason_has_its_code(world: Any, pod: Pod) -> None:
    policy(world, {"expression": "false", "reason": "Forbidden"})
    bind(world)
    with pytest.raises(ApiError) as error:
        world.validate("ValidatingAdmissionPolicy", pod())
    assert (403, "Forbidden") == (error.value.code, error.value.reason)
    assert error.value.message.endswith("denied request: failed expression: false")


def test_warnings_warn_and_audits_are_silent(world: Any, pod: Pod) -> None:
    policy(world, {"expression": "false", "message": "no"})
    bind(world, "Warn", "Audit")
    review = world.validate("ValidatingAdmissionPolicy", pod())
    assert ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no"] == review.warnings


def test_a_message_can_be_computed_and_falls_back(world: Any, pod: Pod) -> None:
    bind(world)
    for expression, words in (
        ("'named ' + object.metadata.name", "named p"),
        ("'two\\nlines'", "plain"),
        ("object.spec.ghost", "plain"),
    ):
        policy(world, {"expression": "false", "message": "plain", "messageExpression": expression})
        assert words == denial(world, pod())


def test_errors_deny_or_are_ignored_as_the_policy_says(world: Any, pod: Pod) -> None:
    bind(world)
    policy(world, {"expression": "object.spec.replicas > 1"})
    assert "expression 'object.spec.replicas > 1' resulted in error: no such key: replicas" == denial(
        world, pod()
    )
    policy(world, {"expression": "object.spec.containers[3].name == 'a'"})
    assert denial(world, pod()).endswith("resulted in error: index out of bounds: 3")
    policy(world, {"expression": "object.spec.replicas > 1"}, failurePolicy="Ignore")
    world.validate("ValidatingAdmissionPolicy", pod())
    # What this evaluator does not know is passed over.
    policy(world, {"expression": "authorizer.group('').resource('pods').check('get').allowed()"})
    world.validate("ValidatingAdmissionPolicy", pod())


def test_variables_build_on_each_other(world: Any, pod: Pod) -> None:
    bind(world)
    variables = [
        {"name": "images", "expression": "object.spec.containers.map(c, c.image)"},
        {"name": "good", "expression": "variables.images.all(i, i.startsWith('r/'))"},
        {"name": "broken", "expression": "object.spec.ghost"},
    ]
    policy(world, {"expression": "variables.good", "message": "bad image"}, variables=variables)
    assert "bad image" == denial(world, pod())
    policy(world, {"expression": "variables.broken == 1"}, variables=variables)
    assert denial(world, pod()).endswith(
        "resulted in error: composited variable \"broken\" fails to evaluate: expression 'object.spec.ghost' resulted in error: "
        "no such key: ghost"
    )


def test_what_builds_on_a_variable_that_cannot_be_run_here_is_passed_over_as_well(
    world: Any, pod: Pod
) -> None:
    bind(world)
    variables = [
        {"name": "may", "expression": "authorizer.group('').resource('pods').check('get').allowed()"}
    ]
    policy(world, {"expression": "variables.may"}, variables=variables)

    world.validate("ValidatingAdmissionPolicy", pod())


def test_expressions_see_the_request_the_namespace_and_the_old_object(world: Any, pod: Pod) -> None:
    bind(world)
    world.namespace(labels={"team": "a"})
    seen = (
        "request.operation + ' ' + request.resource.resource + ' ' + request.userInfo.username + ' ' + "
        "namespaceObject.metadata.labels.team + ' ' + (oldObject == null ? 'new' : oldObject.metadata.name)"
    )
    rules = [PODS | {"operations": ["*"]}]
    policy(world, {"expression": "false", "messageExpression": seen}, rules=rules)
    assert "CREATE pods admin a new" == denial(world, pod())
    assert "UPDATE pods admin a p" == denial(world, pod(), "UPDATE", old=pod())
    policy(world, {"expression": "object != null", "message": "gone"}, rules=rules)
    assert "gone" == denial(world, pod(), "DELETE", old=pod())


def test_conditions_decide_whether_a_policy_applies(world: Any, pod: Pod) -> None:
    bind(world)
    never = {"name": "never", "expression": "object.metadata.name == 'other'"}
    wrong = {"name": "wrong", "expression": "object.spec.ghost == 1"}
    policy(world, {"expression": "false", "message": "no"}, matchConditions=[wrong, never])
    world.validate("ValidatingAdmissionPolicy", pod())
    policy(world, {"expression": "true"}, matchConditions=[wrong])
    assert denial(world, pod()).endswith("resulted in error: no such key: ghost")
    policy(world, {"expression": "false"}, matchConditions=[wrong], failurePolicy="Ignore")
    world.validate("ValidatingAdmissionPolicy", pod())


@pytest.mark.parametrize(
    ("constraints", "is_denied"),
    [
        ({}, True),
        ({"resourceRules": [PODS | {"operations": ["UPDATE"]}]}, False),
        ({"resourceRules": [PODS | {"resources": ["*"], "apiGroups": ["*"], "apiVersions": ["*"]}]}, True),
        ({"resourceRules": [PODS | {"resources": ["pods/*"]}]}, True),
        ({"resourceRules": [PODS | {"resources": ["pods/status"]}]}, False),
        ({"resourceRules": [PODS | {"resourceNames": ["other"]}]}, False),
        ({"resourceRules": [PODS | {"scope": "Cluster"}]}, False),
        ({"resourceRules": [PODS | {"scope": "Namespaced"}]}, True),
        ({"excludeResourceRules": [PODS]}, False),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False),
        ({"objectSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, False),
        ({"objectSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}, True),
    ],
)
def test_constraints_say_what_a_policy_is_about(
    world: Any, pod: Pod, constraints: Object, *, is_denied: bool
) -> None:
    world.namespace(labels={"team": "a"})
    policy(world, {"expression": "false", "message": "no"}, constraints=constraints)
    bind(world)
    if is_denied:
        assert "no" == denial(world, pod())
    else:
        world.validate("ValidatingAdmissionPolicy", pod())


def test_a_binding_narrows_its_policy(world: Any, pod: Pod) -> None:
    policy(world, {"expression": "false", "message": "no"})
    bind(world, matchResources={"namespaceSelector": {"matchLabels": {"team": "b"}}})
    world.validate("ValidatingAdmissionPolicy", pod())


def test_a_policy_sees_an_object_in_the_version_that_it_names(world: Any) -> None:
    rule = {
        "operations": ["*"],
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v2"],
        "resources": ["horizontalpodautoscalers"],
    }
    policy(
        world,
        {"expression": "!has(object.spec.metrics)", "messageExpression": "object.apiVersion"},
        rules=[rule],
    )
    bind(world)
    autoscaler = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": "n"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "targetCPUUtilizationPercentage": 50,
        },
    }
    assert "autoscaling/v2" == denial(world, autoscaler)


def test_parameters_come_from_the_binding(world: Any, pod: Pod) -> None:
    policy(
        world,
        {
            "expression": "object.spec.containers.size() <= int(params.data.most)",
            "messageExpression": "'most ' + params.data.most",
        },
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )
    bind(world, paramRef={"name": "limits", "parameterNotFoundAction": "Deny"})
    missing = (
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    )
    assert missing == denial(world, pod())
    world.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "limits", "namespace": "n"},
            "data": {"most": "0"},
        }
    )
    assert "most 0" == denial(world, pod())
    bind(world, paramRef={"name": "ghost", "parameterNotFoundAction": "Allow"})
    world.validate("ValidatingAdmissionPolicy", pod())


def test_nobody_is_locked_out_by_a_policy_on_policies(world: Any) -> None:
    everything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    policy(world, {"expression": "false"}, rules=[everything])
    bind(world)
    stored = world.cluster.get("validatingadmissionpolicies.admissionregistration.k8s.io", "", "p")
    world.validate("ValidatingAdmissionPolicy", stored, "DELETE", old=stored)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a,b,c'.split(',', 2)[1]", "b,c"),
        ("'AbC'.lowerAscii() + 'x'.upperAscii()", "abcX"),
        ("' a '.trim().replace('a', 'b')", "b"),
        ("['a', 'b'].join('-')", "a-b"),
        ("'registry/x:1'.substring(0, 'registry/x:1'.indexOf('/'))", "registry"),
        ("'%s has %d'.format(['a', 3])", "a has 3"),
        ("string([1, 2, 3].sum() + [4, 5].max())", "11"),
        ("[1, 2].isSorted() ? 'yes' : 'no'", "yes"),
        ("string(quantity('8').asInteger())", "8"),
        ("string(['1', '2k'].map(q, quantity(q).asInteger()).sum())", "2001"),
        (
            "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').isLessThan(quantity('1')) ? 'yes' : 'no'",
            "yes",
        ),
        (
            "isQuantity('eight') || quantity('500m').isInteger() || quantity('1000m') != quantity('1') ? 'yes' : 'no'",
            "no",
        ),
    ],
)
def test_expressions_have_kubernetes_functions_on_strings_and_lists(
    world: Any, pod: Pod, expression: str, value: str
) -> None:
    bind(world)
    policy(world, {"expression": "false", "message": "no value", "messageExpression": expression})
    assert value == denial(world, pod())
