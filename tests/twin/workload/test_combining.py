"""Whole traffics put together and taken apart: no request is lost, none comes twice, prefixes stay their own."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.errors import InputError
from stoker.twin.workload import (
    LognormalLengths,
    Traffic,
    assign,
    mix,
    prefix_reuse,
    scale_rate,
    synthesise,
    window,
)


def made(count: int, seed: int, *, model: str = "", prefixes: bool = False, block: int = 512) -> Traffic:
    rng = np.random.default_rng(seed)
    traffic = synthesise(1.0, float(count), LognormalLengths(50, 1, 50, 1), rng, model=model)
    if not prefixes:
        return traffic
    lengths = rng.integers(0, 5, count)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ids = rng.integers(-5, max(1, count // 2), offsets[-1])
    return replace(traffic, prefix_ids=ids, prefix_offsets=offsets, prefix_block_tokens=block)


def requests(traffic: Traffic) -> list[tuple[float, int, int, str, int]]:
    lengths = (
        np.diff(traffic.prefix_offsets) if traffic.prefix_offsets is not None else np.zeros(len(traffic), int)
    )
    return [
        (float(t), int(i), int(o), traffic.models[m], int(p))
        for t, i, o, m, p in zip(
            traffic.arrival_s,
            traffic.input_tokens,
            traffic.output_tokens,
            traffic.model,
            lengths,
            strict=True,
        )
    ]


@settings(max_examples=30)
@given(
    parts=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 99), st.sampled_from(["", "a", "b"]), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_mixing_keeps_every_request(parts: list[tuple[int, int, str, bool]]) -> None:
    traffics = [made(count, seed, model=model, prefixes=own) for count, seed, model, own in parts]
    whole = mix(traffics)
    assert sorted(requests(whole)) == sorted(row for each in traffics for row in requests(each))
    assert np.all(np.diff(whole.arrival_s) >= 0)
    assert whole.duration_s == max(each.duration_s for each in traffics)
    distinct = sum(len(np.unique(each.prefix_ids)) for each in traffics if each.prefix_ids is not None)
    if whole.prefix_ids is not None:
        assert len(np.unique(whole.prefix_ids)) == distinct


def test_equal_names_become_one_when_mixed() -> None:
    whole = mix([made(5, 0, model="a"), made(5, 1, model="b"), made(5, 2, model="a")])
    assert whole.models == ("a", "b")
    assert np.bincount(whole.model).tolist() == [10, 5]


@pytest.mark.parametrize(
    "traffics",
    [[], [made(5, 0, prefixes=True), made(5, 1, prefixes=True, block=16)]],
    ids=["none", "blocks differ"],
)
def test_what_cannot_be_mixed_is_an_error(traffics: list[Traffic]) -> None:
    with pytest.raises(InputError, match="cannot be mixed"):
        mix(traffics)


@given(st.integers(0, 1000), st.floats(0, 100), st.floats(0, 100))
def test_windows_that_meet_hold_each_request_once(seed: int, one: float, two: float) -> None:
    traffic = made(100, seed)
    first, second = sorted((one, two))
    edges = [0.0, first, second, 100.0]
    parts = [window(traffic, begin, end) for begin, end in pairwise(edges)]
    assert sum(len(part) for part in parts) == len(traffic)
    assert all(part.arrival_s.min(initial=0.0) >= 0 for part in parts)
    assert sum(part.duration_s for part in parts) == pytest.approx(100.0)


def test_a_window_counts_from_its_own_begin() -> None:
    part = window(made(100, 0), 30.0, 60.0)
    whole = made(100, 0).arrival_s
    assert (part.arrival_s + 30.0).tolist() == pytest.approx(whole[(whole >= 30.0) & (whole < 60.0)].tolist())


def test_a_request_at_an_edge_is_in_the_later_window() -> None:
    traffic = replace(made(4, 0), arrival_s=np.array([0.0, 1.0, 1.0, 2.0]))
    sizes = [len(window(traffic, begin, begin + 1.0)) for begin in (0.0, 1.0, 2.0)]
    assert sizes == [1, 2, 1]


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.7])
def test_more_users_do_not_share_prefixes_with_the_first(factor: float) -> None:
    traffic = made(4000, 1, prefixes=True)
    scaled = scale_rate(traffic, factor, np.random.default_rng(0))
    assert len(scaled) == pytest.approx(4000 * factor, rel=0.03)
    before, after = prefix_reuse(traffic), prefix_reuse(scaled)
    assert before is not None
    assert after is not None
    if factor >= 1:
        assert after == pytest.approx(before, abs=0.06)
    assert after <= before + 0.01


def test_a_whole_factor_takes_every_request_as_often() -> None:
    scaled = scale_rate(made(50, 0), 3.0, np.random.default_rng(0))
    first = sorted(made(50, 0).input_tokens.tolist() * 3)
    assert sorted(scaled.input_tokens.tolist()) == first


def test_tenants_are_assigned_as_models_are() -> None:
    traffic = assign(
        made(20_000, 0, model="m"), {"x": 1, "y": 3, "z": 0}, np.random.default_rng(0), by="tenant"
    )
    assert (np.bincount(traffic.tenant, minlength=3) / 20_000).tolist() == pytest.approx(
        [0.25, 0.75, 0.0], abs=0.01
    )
    assert (traffic.models, traffic.tenants) == (("m",), ("x", "y", "z"))


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("nan")}])
def test_shares_that_are_none_are_an_error(shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match="shares of the models"):
        assign(made(5, 0), shares, np.random.default_rng(0))
