"""YAML that means the same to every reader of it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stoker.render.yaml_text import dump

# Each of these is a number, a boolean, a null or a date to some reader that kubectl or a GitOps controller uses.
AMBIGUOUS = [
    "on",
    "No",
    "y",
    "null",
    "~",
    "",
    "1e3",
    "0x10",
    "0o17",
    "012",
    "12_000",
    "1:30",
    ".5",
    "+1",
    "2026-11-24",
    ".inf",
    "=",
]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    assert dump({"key": text}).split(": ", 1)[1][0] in "\"'"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_written_reads_back_as_it_was(value: object) -> None:
    assert {"key": value} == yaml.safe_load(dump({"key": value}))


def test_programs_and_queries_stay_readable() -> None:
    assert dump({"query": "a\nb\n"}) == "query: |\n  a\n  b\n"
