"""Scalars by the YAML 1.2 core schema, places of keys and values, bounds, unreadable files."""

import os
from pathlib import Path

import pytest

from stoker.errors import InputError
from stoker.platform.positions import Source
from stoker.platform.yaml_source import parse, read_bytes


def data_of(text: str | bytes) -> Source:
    source, problems = parse(text)
    assert problems == []
    return source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("012", 12),
        ("0o12", 10),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1:30", "1:30"),
        ("2026-11-24", "2026-11-24"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("-1.5e3", -1500.0),
        (".5", 0.5),
        ("+7", 7),
        ("1.35", 1.35),
        ("'1.35'", "1.35"),
        ('"true"', "true"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_are_read_by_the_1_2_core_schema(text: str, expected: object) -> None:
    value = data_of(f"key: {text}\n").data["key"]

    assert expected == value
    assert type(expected) is type(value)


def test_positions_of_keys_and_values_are_those_an_editor_shows() -> None:
    source = data_of("a: 1\nb:\n  - c: x\n    d: {e: [1, 22]}\n")

    assert (1, 4) == source.at(("a",))
    assert (2, 1) == source.at(("b",), key=True)
    assert (4, 5) == source.at(("b", 0, "d"), key=True)
    assert (4, 16) == source.at(("b", 0, "d", "e", 1))


def test_a_field_that_is_not_written_stands_where_its_section_does() -> None:
    source = data_of("a:\n  b: 1\n")

    assert (1, 1) == source.at(("a", "missing", "deeper"))
    assert (0, 0) == Source(None).at(("a",))


def test_json_and_a_byte_order_mark_are_read() -> None:
    assert {"a": [1, None, {"b": "c"}]} == data_of('{"a": [1, null, {"b": "c"}]}').data
    assert {"a": 1} == data_of(b"\xef\xbb\xbfa: 1").data


def test_a_number_keeps_its_text_so_that_1_30_is_not_shown_as_1_3() -> None:
    assert "1.30" == data_of("a: 1.30").raw[("a",)]


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        pytest.param("a: 1\na: 2\n", '"a" is given twice, first in line 1', 2, 1, id="a duplicate key"),
        pytest.param("a: &x 1\n", "an anchor (&x)", 1, 4, id="an anchor"),
        pytest.param("a: 1\nb: *a\n", "an alias (*a)", 2, 4, id="an alias"),
        pytest.param("*a : 1\n", "an alias (*a)", 1, 1, id="an alias as key"),
        pytest.param("<<: {a: 1}\n", "a merge key (<<)", 1, 1, id="a merge key"),
        pytest.param(
            "a: !!python/object:os.system x\n",
            "a tag (tag:yaml.org,2002:python/object:os.system)",
            1,
            4,
            id="a tag",
        ),
        pytest.param("1: x\n", 'the key "1" is not a text', 1, 1, id="a number as key"),
        pytest.param("? \n: x\n", "an empty key", 1, 2, id="an empty key"),
        pytest.param("a: " + "9" * 100, "a number of 100 characters", 1, 4, id="a huge number"),
        pytest.param('a: "\\0"\n', "a control character in a text", 1, 4, id="an escaped NUL"),
    ],
)
def test_faults_that_leave_the_rest_readable_are_reported_beside_it(
    text: str, message: str, line: int, column: int
) -> None:
    _, problems = parse(text, file="f")

    assert [(message, line, column, "f")] == [(p.message, p.line, p.column, p.file) for p in problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "is empty", id="an empty file"),
        pytest.param(b"# nothing\n---\n", "is empty", id="only comments"),
        pytest.param(b"a: 1\n---\nb: 2\n", "a second document", id="two documents"),
        pytest.param(b"a: \xff\xfe\n", "is not UTF-8: byte 0xff at offset 3", id="bytes that are no UTF-8"),
        pytest.param("a: 1".encode("utf-16"), "is UTF-16 or UTF-32", id="UTF-16"),
        pytest.param(b"a: \x00\n", "holds the control character U+0000", id="a NUL byte"),
        pytest.param(b"a: \x1b[31m\n", "holds the control character U+001B", id="an escape sequence"),
        pytest.param(b"a:\n\tb: 1\n", "a tab in the indentation", id="a tab"),
        pytest.param(b"[" * 100_000, "nested more than 64 levels deep", id="a hundred thousand brackets"),
        pytest.param(b"- " * 100_000, "nested more than 64 levels deep", id="a hundred thousand dashes"),
        pytest.param(b"{a: " * 1000, "nested more than 64 levels deep", id="a thousand objects"),
        pytest.param(b"? [a]\n: b\n", "a key that is not a text", id="a list as key"),
        pytest.param(b"[" + b"1," * 300_000 + b"]", "more than 200000 values", id="too many values"),
        pytest.param(b"#" * ((1 << 20) + 1), "is larger than 1 MiB", id="too large a file"),
        pytest.param(b"%YAML 3.0\n---\na: 1\n", "is not YAML: found incompatible YAML document", id="YAML 3"),
    ],
)
def test_texts_that_are_no_single_small_document_are_refused(text: bytes, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(text, file="f")

    assert message == refused.value.problems[-1].message


def test_a_bomb_of_aliases_costs_nothing_and_is_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    with pytest.raises(InputError) as refused:
        parse("\n".join(levels))

    assert 100 == len(refused.value.problems)


def test_a_refused_key_takes_its_whole_value_with_it() -> None:
    source, problems = parse("a: 1\na: {b: [1, {c: 2}], b: 3}\nd: 4\n")

    assert {"a": 1, "d": 4} == source.data
    assert 1 == len(problems)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda _: None, "no such file", id="a file that is not there"),
        pytest.param(lambda path: path.mkdir(), "is a folder", id="a folder"),
        pytest.param(os.mkfifo, "is not a regular file", id="a pipe"),
        pytest.param(
            lambda path: path.symlink_to(path),
            "cannot be read: Too many levels of symbolic links",
            id="a loop",
        ),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "is not a regular file", id="a device"),
    ],
)
def test_paths_that_are_no_readable_file_are_refused(tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    path = tmp_path / "platform.yaml"
    make(path)

    with pytest.raises(InputError) as refused:
        read_bytes(path)

    assert message == refused.value.problems[0].message


def test_a_path_that_no_system_takes_is_refused() -> None:
    for path in ("a\0b", "x" * 5000):
        with pytest.raises(InputError):
            read_bytes(Path(path))
