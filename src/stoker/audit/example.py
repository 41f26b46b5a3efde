"""The examples of rules: a bad and a good manifest each, documentation and test at once."""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from stoker.audit.rule import Rule
from stoker.kube.read import read_text
from stoker.kube.snapshot import Origin, Snapshot

__all__ = ["Example", "example"]


@dataclass(frozen=True, slots=True)
class Example:
    """Manifests of one rule.

    Attributes:
        bad: a YAML stream in which the rule fires.
        good: the same, mended.
        seen_as: how the streams are read: ``files``, ``complete`` (nothing else exists), ``dump`` or ``live``.
        listed: kinds that count as listed in whole for ``live``, beside those that are there.
        together: several changes are needed at once to turn good into bad.
    """

    bad: str
    good: str
    seen_as: str = "files"
    listed: tuple[str, ...] = ()
    together: bool = False

    def snapshot(self, text: str) -> Snapshot:
        """A stream as the rule is meant to see it."""
        snapshot = read_text(text.encode(), "example.yaml", closed=self.seen_as == "complete")
        if self.seen_as in {"dump", "live"}:
            listed = frozenset((*snapshot.kinds, *self.listed))
            snapshot = replace(snapshot, origin=Origin(self.seen_as), listed=listed)
        return snapshot


@cache
def example(rule: Rule) -> Example:
    """The rule's examples.

    Raises:
        FileNotFoundError: it has none: a defect that a test finds.
    """
    file = files("stoker.audit") / "examples" / rule.area.value / f"{rule.id}.yaml"
    data: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Example(
        bad=data["bad"],
        good=data["good"],
        seen_as=data.get("as", "files"),
        listed=tuple(data.get("listed", ())),
        together=bool(data.get("together", False)),
    )
