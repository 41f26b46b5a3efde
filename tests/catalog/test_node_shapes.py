"""Cloud instance types: each carries a known GPU, plausible figures and a source."""

from collections import Counter
from datetime import date

import pytest

from stoker.catalog.gpus import NodeShape, gpu, gpus, node_shape, node_shapes, shapes_with
from stoker.errors import UnknownNameError

EVERY = pytest.mark.parametrize("shape", node_shapes(), ids=[shape.name for shape in node_shapes()])


def test_there_are_enough_from_each_large_cloud() -> None:
    counts = Counter(shape.provider for shape in node_shapes())
    assert len(node_shapes()) >= 30
    assert all(counts[provider] >= 10 for provider in ("aws", "gcp", "azure"))


def test_names_are_unique() -> None:
    assert len(node_shapes()) == len({shape.name.casefold() for shape in node_shapes()})


@EVERY
def test_its_gpu_is_in_the_catalogue_under_the_canonical_name(shape: NodeShape) -> None:
    assert shape.gpu in gpus()


@EVERY
def test_its_figures_are_plausible_and_sourced(shape: NodeShape) -> None:
    assert shape.gpus in {1, 2, 4, 8}
    assert 4 <= shape.vcpus <= 384
    assert 16 <= shape.memory_gib <= 3968
    assert 0 <= shape.local_nvme_gb <= 30400
    assert 0 <= shape.network_gbps <= 3600
    assert shape.source.url.startswith("https://")
    assert date(2024, 1, 1) <= date.fromisoformat(shape.source.date) <= date(2026, 11, 24)


@EVERY
def test_its_price_is_not_below_half_of_the_cheapest_list_price_of_its_gpus(shape: NodeShape) -> None:
    if shape.usd_per_hour is not None:
        cheapest = gpu(shape.gpu).prices[0].usd_per_gpu_hour
        assert shape.usd_per_hour / shape.gpus >= cheapest / 2


def test_a_gpu_price_taken_from_a_shape_is_that_shapes_price_per_gpu() -> None:
    by_name = {shape.name: shape for shape in node_shapes()}
    for entry in gpus().values():
        for price in entry.prices:
            named = [by_name[word] for word in price.terms.replace(",", "").split() if word in by_name]
            for shape in named:
                assert shape.usd_per_hour is not None
                assert pytest.approx(shape.usd_per_hour / shape.gpus, rel=1e-3) == price.usd_per_gpu_hour
                assert entry.name == shape.gpu


def test_shapes_are_found_by_any_name_of_the_gpu() -> None:
    assert shapes_with("A100-SXM-80GB") == shapes_with("nvidia_a100-sxm4-80gb")
    assert "p4de.24xlarge" in {shape.name for shape in shapes_with("a100")}
    assert tuple(shape for shape in shapes_with("a100") if shape.gpu != "A100-SXM-80GB") == ()


def test_a_shape_is_found_by_name_in_any_case() -> None:
    assert (
        (found := node_shape("standard_nd96isr_h100_v5")).gpu,
        found.gpus,
        found.rdma,
    ) == ("H100-SXM-80GB", 8, True)


def test_unknown_names_are_refused_with_suggestions() -> None:
    with pytest.raises(UnknownNameError) as caught:
        node_shape("p4de.42xlarge")
    assert "p4de.24xlarge" in caught.value.suggestions
    with pytest.raises(UnknownNameError):
        shapes_with("a9000")
