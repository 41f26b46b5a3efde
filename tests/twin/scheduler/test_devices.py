"""DRA: claims, classes, selectors, shared devices, parts of devices (plugins/dynamicresources, structured allocator)."""

from typing import Any

import pytest
from tests.twin.scheduler.cluster import Cluster, no_help, node, pod

from stoker.twin.scheduler.cel import CelError, compiled

Object = dict[str, Any]
GPU = "gpu.nvidia.com"


def gpu(name: str, product: str = "A100", memory: str = "80Gi", **more: Any) -> Object:
    return {
        "name": name,
        "attributes": {"productName": {"string": product}, "driverVersion": {"version": "550.54.0"}},
        "capacity": {"memory": {"value": memory}},
        **more,
    }


def slice_of(where: str | None, *devices: Object, pool: str | None = None, **spec: Any) -> Object:
    place: Object = {"nodeName": where} if where else {"allNodes": True}
    found = {
        "driver": GPU,
        "pool": {"name": pool or where or "all", "generation": 1, "resourceSliceCount": 1},
    }
    return {
        "metadata": {"name": pool or where or "all"},
        "spec": {**found, **place, "devices": list(devices), **spec},
    }


def claim(name: str, *requests: Object, **devices: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"devices": {"requests": list(requests), **devices}},
    }


def ask(name: str = "gpu", *selectors: str, **more: Any) -> Object:
    found = [{"cel": {"expression": each}} for each in selectors]
    return {"name": name, "exactly": {"deviceClassName": GPU, "selectors": found, **more}}


def using(name: str, *claims: str) -> Object:
    return pod(name, {"resourceClaims": [{"name": each, "resourceClaimName": each} for each in claims]})


CLASSES: list[Object] = [
    {"metadata": {"name": GPU}, "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{GPU}'"}}]}}
]


def cluster(
    claims: list[Object], slices: list[Object], *nodes: Object, classes: list[Object] | None = None
) -> Cluster:
    found = Cluster(*(nodes or (node("n1"), node("n2"))))
    found.state.set_devices(claims, slices, CLASSES if classes is None else classes)
    return found


def refused(nodes: int) -> str:
    """Said of pods with claims: nothing can be deallocated for them (dynamicresources.go PostFilter)."""
    return no_help(nodes).replace("no new claims to deallocate", "still not schedulable")


TWO = [slice_of("n1", gpu("a", "T4", "16Gi")), slice_of("n2", gpu("b"), gpu("c"))]


@pytest.mark.parametrize(
    ("expression", "feasible"),
    [
        ("device.attributes['gpu.nvidia.com'].productName == 'A100'", ("n2",)),
        ("device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40Gi')) < 0", ("n1",)),
        ("device.capacity['gpu.nvidia.com'].memory.isGreaterThan(quantity('40Gi'))", ("n2",)),
        ("device.attributes['gpu.nvidia.com'].productName.lowerAscii().matches('^a[0-9]+')", ("n2",)),
        ("device.attributes['gpu.nvidia.com'].driverVersion.isGreaterThan(semver('535.0.0'))", ("n1", "n2")),
        (
            "'other.com' in device.attributes || device.attributes['gpu.nvidia.com'].productName in ['T4']",
            ("n1",),
        ),
        ("has(device.attributes['gpu.nvidia.com'].index) ? true : false", ()),
    ],
)
def test_selectors_choose_devices_by_what_drivers_say_of_them(
    expression: str, feasible: tuple[str, ...]
) -> None:
    there = cluster([claim("c", ask("gpu", expression))], TWO)
    found = there.decide(using("p", "c"))
    assert found.feasible == feasible
    if not feasible:
        assert found.message == f"0/2 nodes are available: 2 cannot allocate all claims. {refused(2)}"


def test_an_attribute_that_a_device_lacks_is_an_error_at_run_time() -> None:
    # allocator_incubating.go selectorsMatch; runtime/framework.go RunFilterPlugins.
    there = cluster([claim("c", ask("gpu", f"device.attributes['{GPU}'].index == 1"))], TWO)
    assert there.decide(using("p", "c")).message == (
        'running "DynamicResources" filter plugin: claim ns/c: selector #0: CEL runtime error: no such key: index'
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 == 7 && !(false)", True),
        ("cel.bind(x, a.b, x + '-' + x)", "v-v"),
        ("[1, 2, 3].exists(i, i > 2) && [1, 2].all(i, i < 3)", True),
        ("false && a.missing", False),
        ("a.missing || true", True),
        ('semver("1.2.0-rc1").isLessThan(semver("1.2.0"))', True),
        ("size([1, 2].filter(i, i > 1)) == 1 ? 'y' : 'n'", "y"),
    ],
)
def test_cel_means_what_its_specification_says(expression: str, value: object) -> None:
    assert compiled(expression)({"a": {"b": "v"}}) == value


@pytest.mark.parametrize("expression", ["a.", "(1", "unknown(1)", "1 < 'a'", "a.missing"])
def test_what_cel_cannot_read_or_do_is_an_error(expression: str) -> None:
    with pytest.raises(CelError):
        compiled(expression)({"a": {}})


def test_a_class_that_is_not_there_keeps_the_pod_off_every_node() -> None:
    # dynamicresources.go validateDeviceClass; the plugin's state is there, so preemption is asked.
    there = cluster([claim("c", ask())], TWO, classes=[])
    assert there.decide(using("p", "c")).message == (
        f"0/2 nodes are available: request gpu: device class {GPU} does not exist. {no_help(2)}"
    )


def test_a_pod_whose_claim_is_not_there_is_not_tried() -> None:
    # dynamicresources.go PreEnqueue.
    there = cluster([], TWO)
    assert there.decide(using("p", "c")).gated
    template = pod("p", {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]})
    assert there.decide(template).gated
    made = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]}
    there.state.set_devices([claim("p-gpu-x", ask())], TWO, CLASSES)
    assert there.decide({**template, "status": made}).node is not None


def test_several_devices_are_given_or_none() -> None:
    there = cluster([claim("c", ask(count=2))], TWO)
    assert there.decide(using("p", "c")).feasible == ("n2",)


def test_pods_share_a_claim_on_the_node_that_has_its_device() -> None:
    # dynamicresources.go Filter: "resourceclaim not available on the node".
    there = cluster([claim("c", ask()), claim("d", ask())], [slice_of("n1", gpu("a"))])
    assert there.run(using("p", "c")) == "n1"
    found = there.decide(using("q", "c"))
    assert found.feasible == ("n1",)
    assert found.reasons["n2"] == ("resourceclaim not available on the node",)
    there.run(using("q", "c"))
    there.state.remove_pod("ns", "p")
    assert there.decide(using("r", "d")).message.startswith(
        "0/2 nodes are available: 2 cannot allocate all claims."
    )
    there.state.remove_pod("ns", "q")
    assert there.decide(using("r", "d")).node == "n1"


def test_all_devices_are_all_or_nothing_and_administrators_take_none_away() -> None:
    every = claim("every", ask(allocationMode="All"))
    there = cluster(
        [every, claim("c", ask()), claim("admin", ask(adminAccess=True, allocationMode="All"))], TWO
    )
    there.run(using("p", "c"), "n2")
    there.run(using("watch", "admin"), "n1")
    assert there.decide(using("q", "every")).feasible == ("n1",)


def test_tainted_devices_go_to_those_who_tolerate_it() -> None:
    taints = [{"key": "health", "value": "bad", "effect": "NoSchedule"}]
    tolerating = ask(tolerations=[{"key": "health", "operator": "Exists"}])
    there = cluster([claim("c", ask()), claim("d", tolerating)], [slice_of("n1", gpu("a", taints=taints))])
    assert there.decide(using("p", "c")).node is None
    assert there.decide(using("p", "d")).node == "n1"


def test_constraints_hold_between_the_devices_of_a_claim() -> None:
    mixed = [slice_of("n1", gpu("a", "T4"), gpu("b"), gpu("c"))]
    name = f"{GPU}/productName"
    same = claim("same", ask(count=2), constraints=[{"matchAttribute": name}])
    other = claim("other", ask(count=2), constraints=[{"distinctAttribute": name, "requests": ["gpu"]}])
    there = cluster([same, other], mixed)
    there.run(using("p", "same"))
    taken = there.state.allocations["ns", "same"].taken
    assert [each.device[2] for each in taken] == ["b", "c"]
    assert there.decide(using("q", "other")).node is None
    there.state.remove_pod("ns", "p")
    there.run(using("q", "other"))
    assert [each.device[2] for each in there.state.allocations["ns", "other"].taken] == ["a", "b"]


def test_the_first_available_alternative_is_taken_and_scored() -> None:
    # dynamicresources.go computeScore, weight 2 (default_plugins.go).
    options = [
        {
            "name": product,
            "deviceClassName": GPU,
            "selectors": [{"cel": {"expression": f"device.attributes['{GPU}'].productName == '{product}'"}}],
        }
        for product in ("A100", "T4")
    ]
    there = cluster([claim("c", {"name": "gpu", "firstAvailable": options})], TWO)
    scores = there.decide(using("p", "c")).scores
    assert {name: parts["DynamicResources"] for name, parts in scores.items()} == {"n1": 174, "n2": 200}
    assert there.run(using("p", "c")) == "n2"


def test_partitions_of_a_device_share_its_counters() -> None:
    def part(name: str, slices: int) -> Object:
        uses = [{"counterSet": "gpu-0", "counters": {"slices": {"value": str(slices)}}}]
        return gpu(name, consumesCounters=uses)

    shared = slice_of(
        "n1", pool="n1", sharedCounters=[{"name": "gpu-0", "counters": {"slices": {"value": "7"}}}]
    )
    shared["metadata"]["name"] = "counters"
    parts = slice_of("n1", part("whole", 7), part("3g", 3), part("4g", 4), part("1g", 1))
    for item in (shared, parts):
        item["spec"]["pool"]["resourceSliceCount"] = 2
    small = [claim(name, ask()) for name in ("c", "d", "e")]
    there = cluster([claim("three", ask("gpu", "device.driver != ''", count=3)), *small], [shared, parts])
    there.run(using("p", "c"))
    assert there.decide(using("q", "d")).node is None
    there.state.remove_pod("ns", "p")
    assert there.decide(using("q", "three")).node is None


def test_a_device_that_many_may_use_is_given_by_capacity() -> None:
    there = cluster(
        [claim(name, ask(capacity={"requests": {"memory": "30Gi"}})) for name in "abc"],
        [slice_of("n1", gpu("g", allowMultipleAllocations=True))],
    )
    assert there.run(using("p", "a")) == there.run(using("q", "b")) == "n1"
    assert there.decide(using("r", "c")).node is None


def test_devices_of_an_incomplete_pool_are_not_given() -> None:
    half = slice_of("n1", gpu("a"))
    half["spec"]["pool"]["resourceSliceCount"] = 2
    assert cluster([claim("c", ask())], [half]).decide(using("p", "c")).node is None


def test_devices_that_any_node_can_reach_go_to_any_node() -> None:
    there = cluster([claim("c", ask())], [slice_of(None, gpu("a"))])
    assert set(there.decide(using("p", "c")).feasible) == {"n1", "n2"}
    there.run(using("p", "c"), "n1")
    assert set(there.decide(using("q", "c")).feasible) == {"n1", "n2"}


def test_an_extended_resource_is_given_by_devices_where_no_plugin_offers_it() -> None:
    # noderesources/fit.go shouldDelegateResourceToDRA; extendeddynamicresources.go.
    classes = [{**CLASSES[0], "spec": {**CLASSES[0]["spec"], "extendedResourceName": "example.com/gpu"}}]
    there = cluster([], [slice_of("n1", gpu("a"))], classes=classes)
    item = pod("p", {"containers": [{"name": "c", "resources": {"limits": {"example.com/gpu": "1"}}}]})
    assert there.decide(item).feasible == ("n1",)
    there.run(item)
    again = {**item, "metadata": {**item["metadata"], "name": "q"}}
    assert (
        there.decide(again).message == f"0/2 nodes are available: 2 cannot allocate all claims. {refused(2)}"
    )
    there.state.remove_pod("ns", "p")
    assert there.decide(again).node == "n1"
