"""Knative Services: revisions, routes, and the way to zero and back."""

from typing import Any

import pytest
from tests.lab.platform.world import Platform, make_platform

from stoker.lab.platform import listeners

Object = dict[str, Any]

API = "serving.knative.dev/v1"
RULE = "serving.knative.dev/default/llm"


@pytest.fixture
def platform() -> Platform:
    return make_platform("knative", "gateway")


def ksvc(image: str = "r/a:1", traffic: list[Object] | None = None, **annotations: str) -> Object:
    made: Object = {
        "apiVersion": API,
        "kind": "Service",
        "metadata": {"name": "llm"},
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {
                        f"autoscaling.knative.dev/{key.replace('_', '-')}": value
                        for key, value in annotations.items()
                    }
                },
                "spec": {"containers": [{"image": image, "ports": [{"containerPort": 8080}]}]},
            }
        },
    }
    if traffic is not None:
        made["spec"]["traffic"] = traffic
    return made


def pass_time(platform: Platform, seconds: int) -> None:
    for _ in range(seconds // 2):
        platform.wait(2)


def replicas(platform: Platform, revision: str = "llm-00001") -> int:
    return int(platform.fetch("apps/v1/Deployment", f"{revision}-deployment")["spec"]["replicas"])


def test_a_service_becomes_ready_with_its_first_revision(platform: Platform) -> None:
    platform.create(ksvc())
    assert platform.conditions(f"{API}/Service", "llm")["Ready"][0] == "Unknown"
    platform.run_pods()
    pass_time(platform, 4)
    status = platform.status(f"{API}/Service", "llm")
    assert platform.conditions(f"{API}/Service", "llm") == {
        "ConfigurationsReady": ("True", ""),
        "Ready": ("True", ""),
        "RoutesReady": ("True", ""),
    }
    assert status["latestReadyRevisionName"] == "llm-00001"
    assert status["url"] == "http://llm.default.svc.cluster.local"
    assert status["traffic"] == [{"latestRevision": True, "percent": 100, "revisionName": "llm-00001"}]


def test_a_changed_template_is_a_new_revision_that_takes_over_when_it_is_ready(platform: Platform) -> None:
    platform.create(ksvc())
    platform.run_pods()
    pass_time(platform, 4)
    platform.change(f"{API}/Service", "llm", lambda obj: obj.update(spec=ksvc("r/a:2")["spec"]))
    status = platform.status(f"{API}/Service", "llm")
    assert (status["latestCreatedRevisionName"], status["latestReadyRevisionName"]) == (
        "llm-00002",
        "llm-00001",
    )
    assert status["traffic"][0]["revisionName"] == "llm-00001"
    platform.run_pods()
    pass_time(platform, 4)
    assert platform.status(f"{API}/Service", "llm")["traffic"][0]["revisionName"] == "llm-00002"


def test_traffic_is_split_between_revisions_and_requests_wait_for_them(platform: Platform) -> None:
    platform.create(ksvc())
    platform.run_pods()
    pass_time(platform, 4)
    split: list[dict[str, Any]] = [
        {"latestRevision": True, "percent": 10},
        {"revisionName": "llm-00001", "percent": 90, "tag": "prev"},
    ]
    platform.change(f"{API}/Service", "llm", lambda obj: obj.update(spec=ksvc("r/a:2", split)["spec"]))
    platform.run_pods()
    pass_time(platform, 4)
    found = [one for one in listeners(platform.local) if one.kind == "http"]
    tag, rule = found[0].rules
    assert tag.hosts == ("prev-llm.default.svc.cluster.local",)
    assert rule.holds
    assert {(one.group, one.weight) for one in rule.backends} == {("llm-00002", 10), ("llm-00001", 90)}


def test_an_idle_revision_goes_to_zero_and_a_held_request_brings_it_back(platform: Platform) -> None:
    platform.create(ksvc())
    platform.run_pods()
    platform.told.open[f"{RULE}/llm-00001"] = 1.0
    pass_time(platform, 10)
    assert replicas(platform) == 1
    platform.told.open[f"{RULE}/llm-00001"] = 0.0
    pass_time(platform, 180)
    assert replicas(platform) == 0
    assert platform.conditions(f"{API}/Revision", "llm-00001")["Active"] == ("False", "NoTraffic")
    assert platform.conditions(f"{API}/Service", "llm")["Ready"] == ("True", "")
    platform.told.open[f"{RULE}/llm-00001"] = 3.0
    pass_time(platform, 4)
    assert replicas(platform) == 1


def test_a_burst_scales_out_by_concurrency(platform: Platform) -> None:
    platform.create(ksvc(target="10", target_utilization_percentage="100", max_scale="8"))
    platform.run_pods()
    platform.told.open[f"{RULE}/llm-00001"] = 45.0
    pass_time(platform, 10)
    assert replicas(platform) == 5


def test_a_revision_at_zero_keeps_its_share_and_is_woken_by_it(platform: Platform) -> None:
    platform.create(ksvc())
    platform.run_pods()
    pass_time(platform, 4)
    split = [
        {"revisionName": "llm-00002", "percent": 10},
        {"revisionName": "llm-00001", "percent": 90},
    ]
    platform.change(f"{API}/Service", "llm", lambda obj: obj.update(spec=ksvc("r/a:2")["spec"]))
    platform.run_pods()
    pass_time(platform, 4)
    platform.change(f"{API}/Service", "llm", lambda obj: obj["spec"].update(traffic=split))
    platform.told.open[f"{RULE}/llm-00001"] = 1.0
    pass_time(platform, 180)
    assert (replicas(platform), replicas(platform, "llm-00002")) == (1, 0)

    rule = next(one for one in listeners(platform.local) if one.kind == "http").rules[0]
    assert {(one.group, one.weight) for one in rule.backends} == {("llm-00001", 90)}
    assert {(one.group, one.weight) for one in rule.absent} == {("llm-00002", 10)}
    platform.told.open[f"{RULE}/llm-00002"] = 1.0
    pass_time(platform, 4)
    assert (replicas(platform), replicas(platform, "llm-00002")) == (1, 1)
