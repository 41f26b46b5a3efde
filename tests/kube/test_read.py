"""Sources as they come: whole, cut off, mixed, hostile. What is readable is read, the rest is told."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stoker.errors import InputError
from stoker.kube.read import read_paths, read_text
from stoker.kube.snapshot import Origin, Snapshot


def _object(n: int, kind: str = "ConfigMap", version: str = "v1") -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": f"o{n}", "namespace": "a", "uid": f"u{n}"},
        "data": {"text": "line one\nline two\n", "n": "1"},
    }


OBJECTS = [_object(n) for n in range(5)]
LIST = {"apiVersion": "v1", "kind": "List", "items": OBJECTS, "metadata": {"resourceVersion": ""}}
JSON_DUMP = json.dumps(LIST, indent=4)
YAML_DUMP = yaml.safe_dump(LIST, sort_keys=True)
STREAM = "---\n".join(yaml.safe_dump(obj, sort_keys=False) for obj in OBJECTS)


def names(snapshot: Snapshot) -> list[str]:
    return [item.name for item in snapshot.items]


@pytest.mark.parametrize("text", [JSON_DUMP, json.dumps(LIST), YAML_DUMP, STREAM, "\n".join(map(json.dumps, OBJECTS))],
                         ids=["JSON", "compact JSON", "YAML List", "YAML stream", "JSON lines"])  # fmt: skip
def test_every_form_of_a_dump_gives_the_same_objects(text: str) -> None:
    snapshot = read_text(text.encode())

    assert [f"o{n}" for n in range(5)] == names(snapshot)
    assert () == snapshot.unread
    assert all(item.live for item in snapshot.items)


def test_lines_are_those_where_objects_begin() -> None:
    """In JSON lists, YAML lists and streams alike."""
    for text, mark in (
        (JSON_DUMP, '"apiVersion": "v1"'),
        (YAML_DUMP, "- apiVersion"),
        (STREAM, "apiVersion: v1"),
    ):
        rows = text.split("\n")
        wanted = [n + 1 for n, row in enumerate(rows) if mark in row]
        offset = 1 if text is JSON_DUMP else 0  # the brace stands a line above
        lines = [item.source.line + offset for item in read_text(text.encode()).items]

        assert wanted[-5:] == lines or wanted[:5] == lines


def _cuts(text: str, count: int) -> list[int]:
    return sorted({max(1, len(text) * step // count) for step in range(1, count)})


@pytest.mark.parametrize("at", _cuts(JSON_DUMP, 90))
def test_a_json_dump_cut_anywhere_gives_its_whole_objects(at: int) -> None:
    """No object is lost before the cut, none is made up, and the cut is told."""
    snapshot = read_text(JSON_DUMP[:at].encode())

    assert names(snapshot) == [f"o{n}" for n in range(len(snapshot.items))]
    whole = sum(JSON_DUMP[:at].count(f'"uid": "u{n}"\n            }}\n        }}') for n in range(5))
    assert len(snapshot.items) >= whole - 1
    assert snapshot.unread or len(snapshot.items) == 5


@pytest.mark.parametrize("at", _cuts(YAML_DUMP, 90))
def test_a_yaml_dump_cut_anywhere_never_raises_and_keeps_order(at: int) -> None:
    snapshot = read_text(YAML_DUMP[:at].encode())

    assert names(snapshot) == [name for name in (f"o{n}" for n in range(5)) if name in names(snapshot)]


@pytest.mark.parametrize("at", _cuts(STREAM, 60))
def test_a_stream_cut_anywhere_costs_the_last_document_only(at: int) -> None:
    whole = STREAM[:at].count("---\n")

    assert [f"o{n}" for n in range(whole)] == names(read_text(STREAM[:at].encode()))[:whole]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)
HOSTILE = {
    "nothing": b"",
    "blanks": b" \n\n\t\n",
    "only markers": b"---\n---\n---\n",
    "only a comment": b"# nothing here\n",
    "a number": b"3\n",
    "a word": b"hello\n",
    "a null": b"null\n",
    "a list of numbers": b"[1, 2, 3]",
    "a list of nulls": b"[null, null]",
    "an empty mapping": b"{}",
    "an empty list": b"[]",
    "half a brace": b"{",
    "a lone bracket": b"[",
    "a closing brace": b"}",
    "zero bytes": b"\x00\x00\x00\x00",
    "a zero byte within": b"apiVersion: v1\nkind: Pod\x00\n",
    "no text": b"\xff\xfe\xfd\xfc",
    "bad UTF-8": b"apiVersion: v1\nkind: \xc3\x28\n",
    "a gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "an ELF": b"\x7fELF\x02\x01\x01\x00",
    "tabs": b"apiVersion: v1\n\tkind: Pod\n",
    "unbalanced quotes": b'apiVersion: "v1\nkind: Pod\n',
    "a bomb of aliases": BOMB.encode(),
    "a bomb in an object": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n" + BOMB.encode(),
    "an alias to itself": b"apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: x, m: *m}\n",
    "deep flow": b"[" * 50_000,
    "deep JSON": b'{"a":' * 50_000,
    "deep whole JSON": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "deep block": b"".join(b" " * n + b"a:\n" for n in range(900)),
    "deep dashes": b"- " * 4000,
    "a python tag": b"apiVersion: v1\nkind: !!python/object/apply:os.system ['true']\n",
    "an unknown tag": b"apiVersion: v1\nkind: !secret x\n",
    "a merge key": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {<<: {name: x}}\n",
    "a bad merge key": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {<<: 3}\n",
    "an undefined alias": b"apiVersion: *v\nkind: Pod\n",
    "keys that are lists": b"? [a, b]\n: 1\napiVersion: v1\nkind: Pod\n",
    "keys that are mappings": b"? {a: b}\n: 1\n",
    "keys that are numbers": b"1: 2\napiVersion: v1\nkind: Pod\n3.5: x\ntrue: y\n",
    "a null key": b"null: 1\napiVersion: v1\nkind: Pod\n",
    "doubled keys": b"apiVersion: v1\nkind: Pod\nkind: Service\n",
    "a huge number": b"apiVersion: v1\nkind: Pod\nspec: {priority: " + b"9" * 5000 + b"}\n",
    "a huge JSON number": b'{"apiVersion":"v1","kind":"Pod","spec":{"priority":' + b"9" * 6000 + b"}}",
    "an infinity": b"apiVersion: v1\nkind: Pod\nspec: {priority: .inf}\n",
    "a NaN": b'{"apiVersion":"v1","kind":"Pod","spec":{"priority":NaN}}',
    "a date for a name": b"apiVersion: v1\nkind: Pod\nmetadata: {name: 2026-11-24}\n",
    "a bad date": b"apiVersion: v1\nkind: Pod\nmetadata: {name: 2026-99-99}\n",
    "sexagesimal": b"apiVersion: v1\nkind: Pod\nmetadata: {name: 1:30:99}\n",
    "no kind": b"apiVersion: v1\nmetadata: {name: x}\n",
    "no version": b"kind: Pod\nmetadata: {name: x}\n",
    "an empty kind": b"apiVersion: v1\nkind: ''\n",
    "a number for a kind": b"apiVersion: v1\nkind: 3\n",
    "a list for a version": b"apiVersion: [v1]\nkind: Pod\n",
    "slashes for a version": b"apiVersion: a/b/c/d\nkind: Pod\n",
    "metadata is text": b"apiVersion: v1\nkind: Pod\nmetadata: x\n",
    "metadata is a list": b"apiVersion: v1\nkind: Pod\nmetadata: [x]\n",
    "spec is text": b"apiVersion: apps/v1\nkind: Deployment\nspec: x\n",
    "status is a number": b"apiVersion: v1\nkind: Node\nstatus: 3\n",
    "items is text": b"apiVersion: v1\nkind: List\nitems: x\n",
    "items is a mapping": b"apiVersion: v1\nkind: List\nitems: {a: b}\n",
    "items of everything": b"apiVersion: v1\nkind: List\nitems: [1, x, null, [], {}, {kind: Pod}]\n",
    "a JSON list of everything": b'{"apiVersion":"v1","kind":"List","items":[1,"x",null,[],{},{"kind":"Pod"}]}',
    "a typed list without a type": b'{"kind":"PodList","items":[{"metadata":{"name":"x"}}]}',
    "a list in a list": b'{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List","items":[]}]}',
    "two JSON values": b'{"apiVersion":"v1","kind":"Pod"} {"apiVersion":"v1","kind":"Pod"}',
    "JSON and rubbish": b'{"apiVersion":"v1","kind":"Pod"} rubbish',
    "JSON with a comment": b'{"apiVersion":"v1", // no\n "kind":"Pod"}',
    "JSON with a comma": b'{"apiVersion":"v1","kind":"Pod",}',
    "lone surrogates": b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\\ud800"}}',
    "a byte order mark": b"\xef\xbb\xbfapiVersion: v1\nkind: Pod\n",
    "UTF-16": "apiVersion: v1\nkind: Pod\n".encode("utf-16"),
    "half of UTF-16": "apiVersion: v1\nkind: Pod\n".encode("utf-16")[:-1],
    "Windows line ends": b"apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: x\r\n",
    "old Mac line ends": b"apiVersion: v1\rkind: Pod\r",
    "a template": b"apiVersion: v1\nkind: {{ .Values.kind }}\n{{- if .x }}\nmetadata: {}\n{{- end }}\n",
    "a template that begins": b"{{- if .Values.x }}\napiVersion: v1\n{{- end }}\n",
    "HTML": b"<!doctype html><html><body>502 Bad Gateway</body></html>",
    "an error of kubectl": b"error: You must be logged in to the server (Unauthorized)\n",
    "a Status": b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":403}',
    "a table": b"NAME   READY   STATUS\nx      1/1     Running\n",
    "directives": b"%YAML 1.2\n---\napiVersion: v1\nkind: Pod\n",
    "a bad directive": b"%FOO bar\n---\na: b\n",
    "document ends": b"apiVersion: v1\nkind: Pod\n...\napiVersion: v1\nkind: Service\n",
    "names with newlines": b'apiVersion: v1\nkind: Pod\nmetadata: {name: "a\\nb"}\n',
    "names with markup": b"apiVersion: v1\nkind: Pod\nmetadata: {name: '[bold red]x[/]'}\n",
    "names with escapes": b'apiVersion: v1\nkind: Pod\nmetadata: {name: "\\e[31mx"}\n',
    "labels of numbers": b"apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: 1, b: true, c: null}}\n",
    "rules without rules": b"groups: [{name: x}, 3, null, {rules: 5}, {rules: [7, {expr: 3}]}]\n",
    "scrape configs of text": b"scrape_configs: [x, 3, {job_name: 5, static_configs: x}]\n",
    "panels of text": b'{"panels": ["x", {"targets": [{"expr": 3}]}, {"panels": "y"}], "title": 3}',
}  # fmt: skip


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in HOSTILE.items()])
def test_hostile_content_is_told_and_never_raises(data: bytes) -> None:
    from datetime import date

    from stoker.audit.registry import rules
    from stoker.audit.run import audit

    snapshot = read_text(data)
    audit(snapshot, rules(), date(2026, 11, 24))

    assert snapshot.items or snapshot.unread or not data.strip(b" \n\t-") or data.startswith(b"#") or data == b"null\n" or b"[]" in data[:3]  # fmt: skip


def test_a_broken_document_costs_the_others_nothing() -> None:
    """Mixed streams: good, broken, good."""
    text = f"{yaml.safe_dump(OBJECTS[0])}---\na: [1\n---\n{yaml.safe_dump(OBJECTS[1])}---\nhello\n---\n{json.dumps(OBJECTS[2])}\n"

    snapshot = read_text(text.encode())

    assert ["o0", "o1", "o2"] == names(snapshot)
    assert 2 == len(snapshot.unread)


def test_malformed_fields_are_told_and_left_out() -> None:
    """Rules never see a type they do not expect."""
    (item,) = read_text(
        b"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: x, nodeName: 3}\n"
    ).items

    assert {} == item.spec
    assert [("spec", "containers"), ("spec", "nodeName")] == [entry.path for entry in item.malformed]


def test_the_value_of_a_secret_is_never_held() -> None:
    """Not in items, so not in any report."""
    (item,) = read_text(
        b"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {token: hf_verysecret}\n"
    ).items

    assert {"token": ""} == item.obj["stringData"]


def test_a_folder_is_read_in_the_order_of_names_without_hidden_folders(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name, n in (("b.yaml", 1), ("a/x.yml", 0), (".git/c.yaml", 3), ("readme.md", 4), ("c.json", 2)):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(_object(n)), encoding="utf-8")

    assert ["o1", "o2", "o0"] == names(read_paths([tmp_path]))


def test_patches_of_a_kustomization_are_no_objects(tmp_path: Path) -> None:
    """A fragment judged alone would be a false alarm."""
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [o.yaml]\npatches: [{path: p.yaml}]\n", encoding="utf-8"
    )
    (tmp_path / "o.yaml").write_text(yaml.safe_dump(_object(1)), encoding="utf-8")
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(_object(1)), encoding="utf-8")

    snapshot = read_paths([tmp_path])

    assert ["o1"] == names(snapshot)
    assert any("kustomize patch" in entry.reason for entry in snapshot.unread)


def test_odd_files_are_told(tmp_path: Path) -> None:
    """A link to nowhere, a file without rights, a pipe."""
    import os

    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()

    snapshot = read_paths([tmp_path])

    assert ["link.yaml", "pipe.yaml"] == sorted(Path(entry.what).name for entry in snapshot.unread)


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_paths([tmp_path / "nowhere"])


def test_a_dump_knows_what_it_was_asked_for() -> None:
    """Absence in a dump means something for the kinds and namespaces that it holds."""
    snapshot = read_text(JSON_DUMP.encode())

    assert Origin.DUMP is snapshot.origin
    assert snapshot.knows("ConfigMap", "a")
    assert not snapshot.knows("ConfigMap", "b")
    assert not snapshot.knows("Secret", "a")
