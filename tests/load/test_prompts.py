"""Prompts: as long as wanted, the same for the same seed, alike only where the plan says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.lab.serving import tokens
from stoker.load import Planned
from stoker.load.prompts import Prompts


@given(st.integers(1, 100_000), st.integers(0, 1_000_000), st.integers(0, 10))
def test_a_prompt_has_a_word_for_each_token(count: int, index: int, seed: int) -> None:
    text = Prompts(seed).text(Planned(index, 0.0, count, 1))
    assert len(text.split(" ")) == count
    assert tokens.count(text) == count


def test_a_prompt_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    request = Planned(5, 0.0, 200, 1)
    assert Prompts(1).text(request) == Prompts(1).text(request)
    assert Prompts(1).text(request) != Prompts(2).text(request)


def test_no_two_requests_share_a_block_that_a_prefix_cache_could_find() -> None:
    prompts = Prompts(0)
    blocks = {prompts.text(Planned(index, 0.0, 64, 1))[: 16 * 4] for index in range(40_000)}
    assert len(blocks) == 40_000


def test_prompts_with_equal_hash_ids_begin_alike_and_go_on_differently() -> None:
    prompts = Prompts(0, block_tokens=512)
    one, two = (prompts.text(Planned(index, 0.0, 1500, 1, prefix=(17, 4, 90 + index))) for index in range(2))
    shared = 2 * 512 * 4
    assert one[:shared] == two[:shared]
    assert one[shared : shared + 64] != two[shared : shared + 64]
    assert tokens.count(one) == tokens.count(two) == 1500


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), st.integers(1, 2000))
def test_a_prefix_never_makes_a_prompt_longer_or_shorter(prefix: list[int], count: int) -> None:
    text = Prompts(0, block_tokens=512).text(Planned(3, 0.0, count, 1, prefix=tuple(prefix)))
    assert len(text.split()) == count


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_the_shortest_prompts_are_whole_words(count: int) -> None:
    assert all(len(word) == 3 for word in Prompts(0).text(Planned(123_456, 0.0, count, 1)).split())
