"""YAML as kubectl reads it (sigs.k8s.io/yaml): YAML 1.1 but for dates, which stay text; and as people write it."""

import re
from itertools import pairwise
from typing import Any, Final

import yaml

__all__ = ["Loader", "child", "dump", "split_documents"]

# A line that begins a document; inside a block of text no line of an object stands at the margin.
_SPLIT: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)

_BASE: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_BASE):  # type: ignore[misc,valid-type]  # libyaml's parser where PyYAML was built with it
    """A plain ``=`` is a string, not YAML 1.1's value tag; a date is the text it was written as."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own form
        first: [(tag, expression) for tag, expression in entries if tag != "tag:yaml.org,2002:timestamp"]
        for first, entries in _BASE.yaml_implicit_resolvers.items()
    }


def _plain_equals(loader: Any, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


Loader.add_constructor("tag:yaml.org,2002:value", _plain_equals)


def split_documents(text: str) -> list[tuple[int, str]]:
    """Documents of a stream, each with the 1-based line that its text begins at; blanks before the first are left out."""
    starts = [match.start() for match in _SPLIT.finditer(text)]
    bounds = [*([0] if not starts or text[: starts[0]].strip() else []), *starts, len(text)]
    line, at = 1, 0
    found: list[tuple[int, str]] = []
    for begin, end in pairwise(bounds):
        line += text.count("\n", at, begin)
        at = begin
        found.append((line, text[begin:end]))
    return found


def child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """The entry of a composed collection: the node that it begins with (its key, or itself in a list) and its value.

    Of a key that stands there twice the last one, whose value is what a loader gives. None where there is no such entry.
    """
    if isinstance(node, yaml.MappingNode) and isinstance(step, str):
        return next(((key, value) for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


class _Dumper(yaml.SafeDumper):
    """Double quotes where quotes are needed, as manifests have them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's hook
        return True


class _IndentedDumper(_Dumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002  # PyYAML's hook
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = (
        dumper.resolve(  # type: ignore[no-untyped-call]
            yaml.ScalarNode, value, (True, False)
        )
        == "tag:yaml.org,2002:str"
    )
    style = "|" if "\n" in value else None if plain and value else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
_IndentedDumper.add_representer(str, _text)


def dump(value: Any, *, dashes_indented: bool = False, flow: bool = False, quote: str | None = None) -> str:
    """YAML text of a plain value, keys in their order, lines never wrapped; ``quote`` is put around a string."""
    if quote is not None and isinstance(value, str):
        plain: str = yaml.dump(
            value, Dumper=yaml.SafeDumper, default_style=quote, width=1 << 20, allow_unicode=True
        )
        return plain
    dumper = _IndentedDumper if dashes_indented else _Dumper
    style = True if flow else False if isinstance(value, dict | list) else None
    return str(
        yaml.dump(
            value, Dumper=dumper, sort_keys=False, default_flow_style=style, width=1 << 20, allow_unicode=True
        )
    )
