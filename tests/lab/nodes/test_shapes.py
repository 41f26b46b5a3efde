"""Node objects from what is typed, and what they say."""

import pytest

from stoker.errors import InputError
from stoker.lab.nodes.shapes import machine_of, parse_nodes


def test_a_shape_makes_as_many_nodes_with_the_gpus_of_the_catalogue() -> None:
    nodes = parse_nodes(["3x8xA100-80GB", "2xcpu"])
    assert [
        "a100-sxm-80gb-0",
        "a100-sxm-80gb-1",
        "a100-sxm-80gb-2",
        "cpu-0",
        "cpu-1",
    ] == [one["metadata"]["name"] for one in nodes]
    first = nodes[0]
    labels = first["metadata"]["labels"]
    assert {
        "kubernetes.io/hostname": "a100-sxm-80gb-0",
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": "81920",
        "nvidia.com/gpu.family": "ampere",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/mig.capable": "true",
        "node.kubernetes.io/instance-type": "p4de.24xlarge",
    }.items() <= labels.items()
    assert ("8", "110") == tuple(first["status"]["allocatable"][name] for name in ("nvidia.com/gpu", "pods"))
    assert "nvidia.com/gpu" not in nodes[3]["status"]["capacity"]
    assert 5 == len({one["status"]["addresses"][0]["address"] for one in nodes})


def test_names_count_on_where_a_type_is_named_twice() -> None:
    nodes = parse_nodes(["1x8xH100", "1x8xH100"])
    assert 2 == len({one["metadata"]["name"] for one in nodes})


def test_a_node_without_a_device_plugin_has_the_gpus_and_offers_none() -> None:
    (node,) = parse_nodes(["1x8xH100"], device_plugin=False)
    assert "nvidia.com/gpu" not in node["status"]["capacity"]
    assert "nvidia.com/gpu.product" not in node["metadata"]["labels"]
    assert "true" == node["metadata"]["labels"]["feature.node.kubernetes.io/pci-10de.present"]
    machine = machine_of(node)
    assert machine is not None
    assert (8, {"nvidia.com/gpu": 8}) == (machine.gpus, machine.devices)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("8xA100", "write 8x8xA100 for nodes with 8 GPUs each"),
        ("many", "write NxGxTYPE such as 48x8xA100-80GB, or Nxcpu"),
        ("0x8xH100", "write a smaller number first"),
        ("2x99xH100", "write 2x8xH100"),
    ],
)
def test_what_is_no_shape_is_refused_with_what_to_write_instead(text: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_nodes([text])
    assert [fix] == [problem.fix for problem in caught.value.problems]


def test_every_wrong_shape_is_named() -> None:
    with pytest.raises(InputError) as caught:
        parse_nodes(["1x8xNOPE", "1xcpu", "bad"])
    assert ["1x8xNOPE", "bad"] == [problem.found for problem in caught.value.problems]
