"""Malformed and hostile input: always InputError with a message and a line, never another exception, never a hang."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.platform.documents import SMALL, document, problems

from stoker.errors import InputError
from stoker.platform.explain import fields
from stoker.platform.load import loads

GOOD = json.dumps(SMALL)
YAML = (
    "name: demo\npools:\n  - name: gpu\n    gpu: A100-SXM-80GB\n    nodes: 4\n"
    "models:\n  - name: llama\n    source: hf://meta-llama/Llama-3.1-8B-Instruct\n"
)
BUDGET = 5.0  # seconds for the worst text of 1 MiB on a slow shared machine


def refused(text: str | bytes) -> tuple[Any, ...]:
    started = time.perf_counter()
    with pytest.raises(InputError) as error:
        loads(text, file="platform.yaml")

    assert time.perf_counter() - started < BUDGET
    found = error.value.problems
    assert found
    assert all(problem.message and problem.file for problem in found)
    assert all(len(str(problem)) < 2000 for problem in found)
    return found


TEXTS: dict[str, str | bytes] = {
    "nothing": "",
    "a space": " ",
    "line ends": "\r\n\r\n",
    "a comment": "# x",
    "a byte order mark alone": b"\xef\xbb\xbf",
    "null": "null",
    "a word": "platform",
    "a number": "42",
    "a list": "[]",
    "an empty object": "{}",
    "a document end": "...",
    "two documents": YAML + "---\n" + YAML,
    "a hundred document starts": "---\n" * 100,
    "an open bracket": "[",
    "an open brace": "{",
    "a closing brace": "}",
    "an open quote": 'name: "x',
    "an open single quote": "name: 'x",
    "a percent sign": "%",
    "an unknown directive": "%FOO bar\n---\n" + YAML + "x: 1\n",
    "a tag directive": "%TAG ! tag:x,2000:\n---\n!foo " + GOOD,
    "a reserved character": "name: @x",
    "a backtick": "name: `x`",
    "a tab": "name:\n\tx: 1",
    "a tab alone": "\t",
    "a bad escape": 'name: "\\q"',
    "a surrogate escape": 'name: "\\ud800"',
    "a NUL escape": 'name: "a\\0b"',
    "a lone surrogate": "name: \ud800",
    "a NUL": "name: \x00",
    "a bell": "name: \x07",
    "a delete character": "name: \x7f",
    "a byte order mark inside": "name: x\ufeff\ufffe",
    "latin-1": "name: é".encode("latin-1"),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-32": GOOD.encode("utf-32"),
    "UTF-16 without mark": GOOD.encode("utf-16-le"),
    "overlong UTF-8": b"name: \xc0\x80",
    "CESU surrogates": b"name: \xed\xa0\x80",
    "gzip": b"\x1f\x8b\x08\x00\x00",
    "an ELF header": b"\x7fELF\x02\x01\x01\x00",
    "a PNG header": b"\x89PNG\r\n\x1a\n",
    "random bytes": bytes(range(256)),
    "XML": "<platform><name>x</name></platform>",
    "TOML": '[platform]\nname = "x"\n',
    "a shell script": "#!/bin/sh\nrm -rf /\n",
    "a template": "{{ .Values.name }}",
    "Helm in YAML": "name: {{ .Values.name }}\n",
    "a python object": "!!python/object/apply:os.system ['true']",
    "a python name": "name: !!python/name:os.system\n",
    "a binary": "name: !!binary aGk=\n" + YAML[11:],
    "a set": "!!set {a, b}",
    "an ordered map": "!!omap [a: 1]",
    "an explicit string tag": "name: !!str demo\n" + YAML[11:],
    "a local tag": "name: !x demo\n" + YAML[11:],
    "an anchor": YAML.replace("demo", "&a demo"),
    "an alias without anchor": YAML.replace("demo", "*a"),
    "an alias to itself": "a: &a [*a]\n",
    "a merge key": YAML + "cluster:\n  <<: {version: '1.35'}\n",
    "a duplicate key": YAML + "name: other\n",
    "a duplicate deep key": YAML + "    name: other\n",
    "a key that is a list": "? [a]\n: b\n",
    "a key that is an object": "? {a: b}\n: c\n",
    "a key that is null": YAML + "~: 1\n",
    "a key that is true": YAML + "true: 1\n",
    "a key that is a number": YAML + "1: 1\n",
    "a key that is infinite": YAML + ".inf: 1\n",
    "an empty key": YAML + '"": 1\n',
    "a key of ten thousand letters": YAML + '? "' + "k" * 10_000 + '"\n: 1\n',
    "a million digits": YAML.replace("4", "9" * 1_000_000),
    "five thousand digits": YAML.replace("nodes: 4", "nodes: " + "9" * 5000),
    "a huge hexadecimal": YAML.replace("nodes: 4", "nodes: 0x" + "f" * 100_000),
    "a huge exponent": YAML.replace("nodes: 4", "nodes: 1e999999999"),
    "infinity": YAML.replace("nodes: 4", "nodes: .inf"),
    "not a number": YAML.replace("nodes: 4", "nodes: .nan"),
    "a negative count": YAML.replace("nodes: 4", "nodes: -4"),
    "a fraction": YAML.replace("nodes: 4", "nodes: 4.0"),
    "a truth": YAML.replace("nodes: 4", "nodes: true"),
    "sixty-five brackets": "[" * 65 + "]" * 65,
    "half a million brackets": "[" * 500_000,
    "half a million braces": "{" * 500_000,
    "half a million open objects": '{"a":' * 200_000,
    "half a million dashes": "- " * 500_000,
    "half a million question marks": "? " * 500_000,
    "a staircase of indentation": "\n".join(" " * n + "a:" for n in range(1000)),
    "half a million colons": ":" * 500_000,
    "half a million empty keys": ": \n" * 300_000,
    "half a million commas": "[" + "," * 500_000 + "]",
    "half a million empty values": "[" + "''," * 300_000 + "]",
    "half a million ampersands": "&" * 500_000,
    "half a million aliases": "[" + "*a," * 300_000 + "]",
    "half a million tags": "!" * 500_000,
    "half a million hashes": "#" * 1_000_000,
    "half a million quotes": "'" * 500_001,
    "half a million backslashes": '"' + "\\\\" * 500_000,
    "half a million bars": "|" * 500_000,
    "a megabyte of spaces": " " * 1_048_576,
    "a megabyte of line ends": "\n" * 1_048_576,
    "a megabyte in a word": "a" * 1_048_576,
    "a megabyte in a name": "name: " + "a" * 1_000_000 + YAML[10:],
    "a megabyte in a quoted name": 'name: "' + "é" * 500_000 + '"' + YAML[10:],
    "a megabyte in a block": "name: |\n" + "  x\n" * 200_000 + YAML[11:],
    "more than a megabyte": YAML + "#" * 1_048_576,
    "a hundred thousand unknown keys": YAML + "".join(f"k{n}: 1\n" for n in range(60_000)),
    "a hundred thousand near misses": YAML + "".join(f"pool{n}: 1\n" for n in range(60_000)),
    "ten thousand bad models": YAML + "  - {name: A, source: b}\n" * 10_000,
    "ten thousand models of one name": YAML + "  - {name: llama, source: 'hf://a/b'}\n" * 4_000,
    "ten thousand bad unions": YAML + "  - {name: a, source: 'hf://a/b', parallelism: x, replicas: y}\n" * 4_000,
    "ten thousand misspelt requireds": YAML + "  - {nam: a, sorce: 'hf://a/b'}\n" * 10_000,
    "a bomb": "a: &a [x,x,x]\n" + "".join(f"a{n}: &a{n} [*a,*a,*a]\n" for n in range(50)),
    "a truncated file": YAML[:-40],
    "the guide's Deployment": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 2}\n",
    "another version": "apiVersion: stoker.dev/v2\n" + YAML,
    "only a name": "name: demo\n",
    "no pools": YAML.replace("pools", "pool"),
    "empty pools": "name: demo\npools: []\nmodels: []\n",
}  # fmt: skip


@pytest.mark.parametrize("text", [pytest.param(value, id=name) for name, value in TEXTS.items()])
def test_a_hostile_text_is_refused_within_its_budget(text: str | bytes) -> None:
    assert all(problem.line > 0 for problem in refused(text) if not _says_only_file(problem.message))


def _says_only_file(message: str) -> bool:
    return message.startswith(("is larger", "is UTF-16")) or "are not shown" in message


WRONG: tuple[Any, ...] = (-1, "\x1b[31m\u202e", [[]], {"": {}})
# A list, an object or a number is right in some places: what must hold there is that nothing else than InputError comes.


def _paths() -> Iterator[str]:
    for path in fields():
        if path.split(".")[0] != "storage" or path.count(".") == 2:
            yield path


def _placed(path: str, value: Any) -> dict[str, Any]:
    parts = path.split(".")
    if parts[0] == "storage" and len(parts) == 3:
        entry = {"name": "s", "kind": parts[1], parts[2]: value}
        return document({"storage": [entry]})
    lists = {
        "pools",
        "tenants",
        "models",
        "graphs",
        "steps",
        "lora",
        "env",
        "warmUp",
        "receivers",
        "taints",
        "phases",
        "storage",
    }
    dotted: list[str] = []
    for part in parts[:-1]:
        dotted.append(part)
        if part in lists:
            dotted.append("0")
    result: dict[str, Any] = document()
    node: Any = result
    for index, part in enumerate(dotted):
        if isinstance(node, list):
            while len(node) <= int(part):
                node.append({})
            node = node[int(part)]
        else:
            follows_list = index + 1 < len(dotted) and dotted[index + 1] == "0"
            node = node.setdefault(part, [] if follows_list else {})
    node[parts[-1]] = value
    return result


@pytest.mark.parametrize("path", list(_paths()))
def test_no_value_in_any_field_gives_anything_but_a_clear_error(path: str) -> None:
    for value in WRONG:
        for problem in problems(json.dumps(_placed(path, value))):
            assert problem.message
            assert problem.line > 0
            assert "\x1b" not in str(problem)
            assert "\u202e" not in str(problem)

    refused(json.dumps(_placed(path, {"": {}})))


@pytest.mark.parametrize("path", list(_paths()))
def test_an_unknown_field_beside_any_field_is_refused_with_its_place(path: str) -> None:
    head = path.rpartition(".")[0]
    if head == "storage":
        return
    target = f"{head}.unknownField" if head else "unknownField"
    found = refused(json.dumps(_placed(target, 1)))

    if not head.endswith((".labels", ".versions")):
        assert any("unknownField" in problem.path for problem in found)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["auto", "vllm", "1.35", "hf://a/b", "5m", "0 7 * * *", "nvme", "mig", "gpu", "llama"])
)
names = st.sampled_from([path.rpartition(".")[2] for path in fields()]) | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=12,
)
BOUNDED = settings(
    max_examples=150,
    deadline=timedelta(seconds=2),
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)


@BOUNDED
@given(text=st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_refused_as_input(text: str | bytes) -> None:
    refused(text)


@BOUNDED
@given(path=st.sampled_from(list(_paths())), value=trees)
def test_any_data_in_any_field_loads_or_is_refused_as_input(path: str, value: Any) -> None:
    assert all(problem.message and problem.line for problem in problems(json.dumps(_placed(path, value))))


@BOUNDED
@given(
    at=st.integers(0, len(YAML)),
    insert=st.text(alphabet="\t\n {}[]:-&*!|>'\"%@`#,?0a~\\<é\u2028", max_size=6),
)
def test_any_slip_of_the_keyboard_loads_or_is_refused_as_input(at: int, insert: str) -> None:
    assert all(problem.message and problem.line for problem in problems(YAML[:at] + insert + YAML[at:]))


@BOUNDED
@given(data=trees)
def test_any_document_is_refused_as_input(data: Any) -> None:
    refused(json.dumps(data))
