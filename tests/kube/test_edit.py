"""Patches written into YAML text: the field changes, the rest stays to the byte."""

import textwrap
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stoker.errors import StokerError
from stoker.kube.edit import Change, edit_text
from stoker.kube.patch import Op, apply_ops
from stoker.kube.snapshot import Source

HERE = Source("f.yaml", 1)


def edited(text: str, *ops: Op, source: Source = HERE) -> str:
    return edit_text(textwrap.dedent(text), [Change(source, ops)])


CASES = [
    pytest.param(
        "a: 1 # one\n# two\nb: 2\n", Op("replace", ("a",), 3), "a: 3 # one\n# two\nb: 2\n",
        id="a scalar is replaced and its comment stays",
    ),
    pytest.param(
        "a: 1 # one\n# two\nb: 2\n", Op("remove", ("a",)), "# two\nb: 2\n",
        id="a removed key takes its own comment, not the next key's",
    ),
    pytest.param("a:\n  b: 1\n\n# end\n", Op("remove", ("a", "b")), "a: {}\n\n# end\n", id="the last key leaves an empty mapping"),
    pytest.param("a:\n  b: 1\n\n# end\nc: 2\n", Op("add", ("a", "d"), 4), "a:\n  b: 1\n  d: 4\n\n# end\nc: 2\n",
                 id="a key comes before the comments that follow its mapping"),
    pytest.param("a:\n  b: 1", Op("add", ("a", "d"), "8"), 'a:\n  b: 1\n  d: "8"\n', id="a file without a last line break is continued"),
    pytest.param("a: 1\n", Op("add", ("b", "c", "d"), [1]), "a: 1\nb:\n  c:\n    d:\n    - 1\n", id="missing parents are made"),
    pytest.param("a:\n- x: 1\n  y: 2\n- x: 3\n", Op("add", ("a", 0, "z"), True), "a:\n- x: 1\n  y: 2\n  z: true\n- x: 3\n",
                 id="a key in a list item"),
    pytest.param("a:\n- x: 1\n  y: 2\n", Op("remove", ("a", 0, "x")), "a:\n- y: 2\n", id="a key behind a dash hands it on"),
    pytest.param("a:\n- x\n- y # why\n- z\n", Op("remove", ("a", 1)), "a:\n- x\n- z\n", id="a list item goes with its comment"),
    pytest.param("a:\n- x\n", Op("add", ("a", 1), {"k": 1}), "a:\n- x\n- k: 1\n", id="a list grows at its end"),
    pytest.param("a:\n  - x\n", Op("add", ("a", 0), "w"), "a:\n  - w\n  - x\n", id="a list grows at its head, indented as it is"),
    pytest.param("a:\n  - x\n", Op("add", ("b",), ["y"]), "a:\n  - x\nb:\n  - y\n", id="new lists follow the file's habit"),
    pytest.param("a: {b: 1, c: [x]} # flow\n", Op("add", ("a", "d"), "8"), 'a: {b: 1, c: [x], d: "8"} # flow\n', id="flow style stays"),
    pytest.param("a: {b: {c: 1}}\n", Op("remove", ("a", "b", "c")), "a: {b: {}}\n", id="deep in flow style"),
    pytest.param("a: null\n", Op("add", ("a", "b"), 1), "a:\n  b: 1\n", id="a null becomes a mapping"),
    pytest.param("a:\nc: 1\n", Op("add", ("a", "b"), 1), "a:\n  b: 1\nc: 1\n", id="an empty value becomes a mapping"),
    pytest.param("a: |\n  text\n  more\nb: 1\n", Op("replace", ("a",), "x"), "a: x\nb: 1\n", id="a block of text is replaced"),
    pytest.param("a: |\n  text\nb: 1\n", Op("remove", ("a",)), "b: 1\n", id="a block of text is removed"),
    pytest.param("a: 1\n", Op("replace", ("a",), {"b": [1, 2]}), "a:\n  b:\n  - 1\n  - 2\n", id="a scalar becomes a mapping"),
    pytest.param("a:\n  b: 1\nc: 2\n", Op("replace", ("a",), 5), "a: 5\nc: 2\n", id="a mapping becomes a scalar"),
    pytest.param("é: ü # ö\nb: 1\n", Op("replace", ("b",), "ß"), "é: ü # ö\nb: ß\n", id="text beyond ASCII keeps its places"),
    pytest.param("a: 'on'\n", Op("replace", ("a",), "off"), "a: 'off'\n", id="a word that YAML 1.1 reads as a boolean is quoted"),
    pytest.param("a: []\n", Op("add", ("a", 0), "x"), "a: [x]\n", id="an empty flow list takes an item"),
    pytest.param("a: {}\n", Op("add", ("a", "x"), {"y": 1}), "a: {x: {y: 1}}\n", id="an empty flow mapping takes a key"),
    pytest.param("- a: 1\n  b:\n    - c\n", Op("remove", (0, "b", 0)), "- a: 1\n  b: []\n", id="the last item leaves an empty list"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "op", "wanted"), CASES)
def test_one_step(text: str, op: Op, wanted: str) -> None:
    assert wanted == edited(text, op)


def test_a_renamed_key_keeps_its_place_and_comment() -> None:
    """A removal and an addition in one mapping are one change of a line."""
    text = "hard:\n  # GPUs\n  limits.gpu: '8' # eight\n  pods: 3\n"

    made = edited(text, Op("remove", ("hard", "limits.gpu")), Op("add", ("hard", "requests.gpu"), "8"))

    assert 'hard:\n  # GPUs\n  requests.gpu: "8" # eight\n  pods: 3\n' == made


def test_only_the_document_named_is_touched() -> None:
    """Documents keep their markers, comments and odd spacing."""
    text = "# head\na:   1\n---\n# second\nb:   2\n--- # third\nc:   3\n"

    made = edited(text, Op("replace", ("b",), 5), source=Source("f", 4, 1))

    assert text.replace("b:   2", "b:   5") == made


def test_an_object_in_a_list_is_found() -> None:
    """Paths are below the object, wherever it stands in the document."""
    text = "kind: List\nitems:\n- a: 1\n- a: 2\n"

    assert text.replace("a: 2", "a: 7") == edited(
        text, Op("replace", ("a",), 7), source=Source("f", 4, 0, ("items", 1))
    )


def test_an_object_is_appended_as_a_document() -> None:
    made = edit_text("a: 1\n", [Change(HERE, document={"kind": "X", "spec": {"n": "1"}})])

    assert 'a: 1\n---\nkind: X\nspec:\n  n: "1"\n' == made


def test_a_step_that_does_not_fit_changes_nothing() -> None:
    """The file was edited since it was read."""
    with pytest.raises(StokerError, match="do not fit"):
        edited("a: 1\n", Op("remove", ("b",)))


VALUES = st.recursive(
    st.one_of(st.integers(-5, 5), st.booleans(), st.text("abc: #-'\"\n", max_size=6), st.just("on")),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.text("abcd", min_size=1, max_size=2), below, max_size=3),
    ),
    max_leaves=10,
)
ROOTS = st.dictionaries(st.text("abcd", min_size=1, max_size=2), VALUES, min_size=1, max_size=4)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in pairs for found in [(*path, key), *_paths(item, (*path, key))]]


@given(ROOTS, VALUES, st.data())
def test_any_step_gives_the_patched_object_or_is_refused(
    root: dict[str, Any], value: Any, data: st.DataObject
) -> None:
    """Whatever the style, the outcome parses to what the patch says."""
    path = data.draw(st.sampled_from(_paths(root)))
    kind = data.draw(st.sampled_from(["replace", "remove", "add"]))
    flow = data.draw(st.sampled_from([None, False, True]))
    text = yaml.safe_dump(root, default_flow_style=flow, sort_keys=False)
    op = Op(kind, path, value)

    try:
        made = edit_text(text, [Change(HERE, (op,))])
    except StokerError:
        return
    assert apply_ops(root, [op]) == yaml.safe_load(made)


def test_a_block_of_text_keeps_its_form() -> None:
    """Queries of triggers are written as blocks: their header, indentation and neighbours stay."""
    text = "t:\n- m:\n    q: |\n      sum(a_b)\n    x: 1\n- y: 2\n"

    assert text.replace("a_b", "a:b") == edited(text, Op("replace", ("t", 0, "m", "q"), "sum(a:b)\n"))


def test_quotes_stay_quotes() -> None:
    assert 'a: "x y" # c\n' == edited('a: "b c" # c\n', Op("replace", ("a",), "x y"))


def test_a_removed_and_an_added_key_with_other_values_are_two_changes() -> None:
    """A comment about one field does not come to stand beside another."""
    text = "a: 1 # about a\nb: 2 # about b\n"

    assert "b: 2 # about b\nc: 3\n" == edited(text, Op("remove", ("a",)), Op("add", ("c",), 3))
