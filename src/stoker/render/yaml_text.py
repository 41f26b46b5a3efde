"""Deterministic YAML for Kubernetes readers.

kubectl reads YAML 1.1 booleans and YAML 1.2 numbers at once (sigs.k8s.io/yaml over go-yaml), so a string is written
plain only where no reader could take it for anything else: ``1e3``, ``on``, ``0x10`` and ``12_000`` are quoted.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

__all__ = ["dump", "dump_all"]

# Words that some YAML reader turns into a boolean or null (YAML 1.1 section "bool" and "null").
_WORDS: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "none", ""))
# Anything that starts like a number may be one in some reader: hexadecimal, octal, sexagesimal, exponent, date, .inf.
_NUMBER_LIKE: Final = re.compile(r"^[-+.]?[0-9.]|^[-+]?\.(inf|nan)", re.IGNORECASE)


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - anchors would hide repetition from a reviewer
        return True


def _string(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    if "\n" in value and not re.search(r"[ \t]\n|[^\n\t -\U0010ffff]", value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    if value.lower() in _WORDS or _NUMBER_LIKE.match(value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", value)


_Dumper.add_representer(str, _string)


def dump(value: Mapping[str, Any] | list[Any]) -> str:
    """One document, keys in the order the compiler gave them, lists of mappings indented as kubectl prints them."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=4096, allow_unicode=True)
    return text


def dump_all(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Several documents, each under a comment line."""
    return "---\n".join(f"# {comment}\n{dump(document)}" for comment, document in documents)
