"""Every rule, by importing every module that holds some."""

from functools import cache
from importlib import import_module
from pkgutil import walk_packages

import stoker.audit.rules
from stoker.audit.rule import REGISTRY, Rule
from stoker.errors import UnknownNameError

__all__ = ["rule_by_id", "rules"]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, by area in the order of the upgrades, then by id."""
    for module in walk_packages(stoker.audit.rules.__path__, "stoker.audit.rules."):
        import_module(module.name)
    areas = list(type(next(iter(REGISTRY.values())).area)) if REGISTRY else []
    return tuple(sorted(REGISTRY.values(), key=lambda item: (areas.index(item.area), item.id)))


def rule_by_id(name: str) -> Rule:
    """The rule called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    for item in rules():
        if item.id == name:
            return item
    raise UnknownNameError("rule", name, [item.id for item in rules()])
