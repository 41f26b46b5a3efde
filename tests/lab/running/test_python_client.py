"""The official Python client's typed interfaces against a lab that runs."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, utils
from kubernetes.client.rest import ApiException
from tests.lab.running.python_client import IMAGE, api_of, deployment, namespace_of, until

# The client speaks 1.37; these kinds are younger than the server's 1.36, or are off there by default.
_YOUNGER = {
    "CertificatesV1Api": {"list_cluster_trust_bundle", "list_pod_certificate_request_for_all_namespaces"},
    "ResourceV1Api": {"list_device_taint_rule"},
}
_APIS = (
    "CoreV1Api", "AppsV1Api", "BatchV1Api", "AutoscalingV1Api", "AutoscalingV2Api", "PolicyV1Api", "RbacAuthorizationV1Api",
    "NetworkingV1Api", "StorageV1Api", "SchedulingV1Api", "CoordinationV1Api", "DiscoveryV1Api", "NodeV1Api",
    "ApiextensionsV1Api", "ApiregistrationV1Api", "AdmissionregistrationV1Api", "FlowcontrolApiserverV1Api", "ResourceV1Api",
    "CertificatesV1Api",
)  # fmt: skip


@pytest.fixture(scope="module")
def api(lab_state: Path) -> Iterator[client.ApiClient]:
    with api_of(lab_state) as found:
        yield found


@pytest.fixture
def space(api: client.ApiClient, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
    return namespace_of(api, f"py-{name}"[:60].strip("-"))


def test_a_deployment_is_created_patched_replaced_scaled_and_deleted(
    api: client.ApiClient, space: str
) -> None:
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    made = apps.create_namespaced_deployment(space, deployment())
    ready = until(
        lambda: apps.read_namespaced_deployment("web", space).status.ready_replicas == made.spec.replicas
    )
    patched = apps.patch_namespaced_deployment(
        "web", space, {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}}
    )  # fmt: skip

    assert ready
    assert IMAGE == patched.spec.template.spec.containers[0].image  # merged by name, as its schema says
    patched.metadata.labels = {"team": "a"}
    patched.spec.replicas = 3
    with pytest.raises(ApiException) as caught:  # its version is that of before the controller's writes
        apps.replace_namespaced_deployment("web", space, made)
    assert (409, "Conflict") == (caught.value.status, caught.value.reason)
    newest = apps.read_namespaced_deployment("web", space)
    newest.metadata.labels = {"team": "a"}
    newest.spec.replicas = 3
    replaced = until(lambda: _replaced(apps, space, {"team": "a"}, 3))
    assert 3 == replaced.spec.replicas
    apps.patch_namespaced_deployment_scale("web", space, {"spec": {"replicas": 1}})
    assert 1 == apps.read_namespaced_deployment_scale("web", space).spec.replicas
    assert until(lambda: len(core.list_namespaced_pod(space, label_selector="app=web").items) == 1)

    apps.delete_namespaced_deployment("web", space, propagation_policy="Foreground")
    assert until(lambda: not apps.list_namespaced_deployment(space).items)
    assert until(lambda: not core.list_namespaced_pod(space).items)


def _replaced(apps: client.AppsV1Api, space: str, labels: dict[str, str], replicas: int) -> Any:
    """Read, change and write, until nobody has written in between."""
    found = apps.read_namespaced_deployment("web", space)
    found.metadata.labels, found.spec.replicas = labels, replicas
    try:
        return apps.replace_namespaced_deployment("web", space, found)
    except ApiException as error:
        if error.status != 409:
            raise
        return None


def test_a_job_completes_and_a_cron_job_is_suspended(api: client.ApiClient, space: str) -> None:
    batch = client.BatchV1Api(api)
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "busybox", "command": ["true"]}],
    }
    batch.create_namespaced_job(
        space, {"metadata": {"name": "once"}, "spec": {"completions": 2, "template": {"spec": pod}}}
    )
    batch.create_namespaced_cron_job(
        space,
        {
            "metadata": {"name": "nightly"},
            "spec": {
                "schedule": "0 3 * * *",
                "suspend": True,
                "jobTemplate": {"spec": {"template": {"spec": pod}}},
            },
        },
    )

    done = until(lambda: batch.read_namespaced_job("once", space).status.completion_time)
    job = batch.read_namespaced_job("once", space)

    assert done >= job.status.start_time
    assert 2 == job.status.succeeded
    assert [("Complete", "True")] == [
        (one.type, one.status) for one in job.status.conditions if one.type == "Complete"
    ]
    assert batch.read_namespaced_cron_job("nightly", space).spec.suspend


def test_an_autoscaler_of_the_second_version_says_what_it_measures(api: client.ApiClient, space: str) -> None:
    client.AppsV1Api(api).create_namespaced_deployment(space, deployment(replicas=1))
    scaling = client.AutoscalingV2Api(api)
    target = {"type": "Utilization", "averageUtilization": 90}
    scaling.create_namespaced_horizontal_pod_autoscaler(
        space,
        {
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1,
                "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        },
    )

    def measured() -> Any:
        status = scaling.read_namespaced_horizontal_pod_autoscaler("web", space).status
        # While nothing has been measured the server lists a metric without a type.
        return status.current_metrics and status.current_metrics[0].resource and status

    status = until(measured)

    assert 50 == status.current_metrics[0].resource.current.average_utilization  # the lab's assumption
    assert {"AbleToScale": "True", "ScalingActive": "True"}.items() <= {
        one.type: one.status for one in status.conditions
    }.items()


def test_a_list_comes_in_pages_of_one_version(api: client.ApiClient, space: str) -> None:
    core = client.CoreV1Api(api)
    for number in range(25):
        core.create_namespaced_config_map(
            space, {"metadata": {"name": f"c-{number:02d}", "labels": {"n": "1"}}}
        )

    names: list[str] = []
    left: list[int | None] = []
    token, versions = "", set()
    while True:
        page = core.list_namespaced_config_map(space, limit=10, label_selector="n=1", _continue=token)
        names += [one.metadata.name for one in page.items]
        left.append(page.metadata.remaining_item_count)
        versions.add(page.metadata.resource_version)
        token = page.metadata._continue
        if not token:
            break
        core.create_namespaced_config_map(
            space, {"metadata": {"name": f"a-{len(names)}", "labels": {"n": "1"}}}
        )

    assert [f"c-{number:02d}" for number in range(25)] == names
    # A selector forbids the count of what is left (apiserver's storage leaves it out there).
    assert [None, None, None] == left
    assert 1 == len(versions)


def test_logs_are_read_and_followed(api: client.ApiClient, space: str) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_pod(space, {
        "metadata": {"name": "talks"},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo one; echo two"]}]},
    })  # fmt: skip
    assert until(lambda: core.read_namespaced_pod("talks", space).status.phase == "Succeeded")

    assert "one\ntwo\n" == core.read_namespaced_pod_log("talks", space)
    assert "two\n" == core.read_namespaced_pod_log("talks", space, tail_lines=1)
    stamped = core.read_namespaced_pod_log("talks", space, timestamps=True).splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z (one|two)", line) for line in stamped), stamped
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_pod_log("talks", space, container="other")
    assert 400 == caught.value.status
    assert "container other is not valid for pod talks" in caught.value.body


def test_eviction_is_refused_by_a_budget_and_granted_without(api: client.ApiClient, space: str) -> None:
    core, policy = client.CoreV1Api(api), client.PolicyV1Api(api)
    client.AppsV1Api(api).create_namespaced_deployment(space, deployment(replicas=1))
    policy.create_namespaced_pod_disruption_budget(
        space, {"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}
    )  # fmt: skip
    assert until(
        lambda: policy.read_namespaced_pod_disruption_budget("web", space).status.current_healthy == 1
    )
    pod = core.list_namespaced_pod(space).items[0].metadata.name
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace=space))

    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod_eviction(pod, space, eviction)
    policy.delete_namespaced_pod_disruption_budget("web", space)
    core.create_namespaced_pod_eviction(pod, space, eviction)

    assert 429 == caught.value.status
    assert "violate the pod's disruption budget" in caught.value.body
    assert until(lambda: pod not in {one.metadata.name for one in core.list_namespaced_pod(space).items})


def test_reviews_say_what_a_service_account_may(api: client.ApiClient, space: str) -> None:
    access, core = client.AuthorizationV1Api(api), client.CoreV1Api(api)
    rbac = client.RbacAuthorizationV1Api(api)
    core.create_namespaced_service_account(space, {"metadata": {"name": "reader"}})
    rbac.create_namespaced_role_binding(
        space,
        client.V1RoleBinding(
            metadata=client.V1ObjectMeta(name="reader"),
            role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="view"),
            subjects=[client.RbacV1Subject(kind="ServiceAccount", name="reader", namespace=space)],
        ),
    )

    def allowed(verb: str) -> client.V1SubjectAccessReviewStatus:
        attributes = client.V1ResourceAttributes(verb=verb, resource="pods", namespace=space)
        user = f"system:serviceaccount:{space}:reader"
        spec = client.V1SubjectAccessReviewSpec(user=user, resource_attributes=attributes)
        return access.create_subject_access_review(client.V1SubjectAccessReview(spec=spec)).status

    assert allowed("list").allowed
    assert 'RoleBinding "reader' in allowed("list").reason
    assert not allowed("delete").allowed
    token = core.create_namespaced_service_account_token(
        "reader", space, {"spec": {"expirationSeconds": 600}}
    )
    own = client.Configuration(
        host=api.configuration.host,
        api_key={"authorization": f"Bearer {token.status.token}"},
        ssl_ca_cert=api.configuration.ssl_ca_cert,
    )
    with client.ApiClient(own) as mine:
        assert [] == client.CoreV1Api(mine).list_namespaced_pod(space).items
        with pytest.raises(ApiException) as caught:
            client.CoreV1Api(mine).create_namespaced_config_map(space, {"metadata": {"name": "no"}})
    assert 403 == caught.value.status


def test_a_file_of_many_documents_is_created(api: client.ApiClient, space: str, tmp_path: Path) -> None:
    documents = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
        api.sanitize_for_serialization(deployment(replicas=0)) | {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": {"minAvailable": 1}},
    ]  # fmt: skip
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")

    made = utils.create_from_yaml(api, str(path), namespace=space)

    assert ["c", "s", "web", "b"] == [entry.metadata.name for entries in made for entry in entries]
    with pytest.raises(utils.FailToCreateError) as caught:
        utils.create_from_yaml(api, str(path), namespace=space)
    assert [409] * 4 == [one.status for one in caught.value.api_exceptions]


def test_events_say_which_container_on_which_node(api: client.ApiClient, space: str) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_pod(space, {
        "metadata": {"name": "p"},
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [{"name": "before", "image": "busybox", "command": ["true"]}],
            "containers": [{"name": "c", "image": "busybox", "command": ["true"]}],
        },
    })  # fmt: skip
    assert until(lambda: core.read_namespaced_pod("p", space).status.phase == "Succeeded")

    started = core.list_namespaced_event(
        space,
        field_selector="involvedObject.name=p,reason=Started,involvedObject.fieldPath=spec.containers{c}",
    ).items
    every = core.list_namespaced_event(space, field_selector="involvedObject.name=p").items

    node = core.read_namespaced_pod("p", space).spec.node_name
    assert [("kubelet", node, node)] == [
        (one.source.component, one.source.host, one.reporting_instance) for one in started
    ]
    assert {None, "spec.initContainers{before}", "spec.containers{c}"} == {
        one.involved_object.field_path for one in every
    }


@pytest.mark.parametrize("name", _APIS)
def test_every_list_fits_the_clients_models(api: client.ApiClient, name: str) -> None:
    """The models refuse an answer in which a required field is missing or of another type."""
    interface = getattr(client, name)(api)
    answered = 0
    for method in dir(interface):
        call = getattr(interface, method)
        if not method.startswith("list_") or method.endswith("_with_http_info"):
            continue
        required = [one for one in inspect.signature(call).parameters.values() if one.default is one.empty]
        if any(one.kind is one.POSITIONAL_OR_KEYWORD for one in required):
            continue
        if method in _YOUNGER.get(name, ()):
            with pytest.raises(ApiException) as caught:
                call()
            assert 404 == caught.value.status
            continue
        assert isinstance(call().items, list)
        answered += 1
    assert answered > 0 or name in _YOUNGER
