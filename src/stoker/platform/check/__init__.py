"""Rules across fields of the platform file: what no single field can be wrong by itself.

One module a concern; a rule is a generator of findings over the typed document and does nothing else. Positions are put
to the findings at the end, so that no rule knows of lines.
"""

from collections.abc import Callable, Iterator
from typing import Final

from stoker.errors import Problem
from stoker.platform.check import delivery, environment, names, placement, pools, references, scaling, serving
from stoker.platform.check.finding import Finding
from stoker.platform.document import Platform
from stoker.platform.positions import Source, field_path

__all__ = ["check"]

_RULES: Final[tuple[Callable[[Platform], Iterator[Finding]], ...]] = (
    names.unique_names,
    names.derived_names,
    names.namespaces,
    references.references,
    references.components,
    pools.pools,
    pools.allocation,
    placement.layouts,
    delivery.deliveries,
    serving.modes,
    serving.canaries,
    serving.graphs,
    scaling.replicas,
    scaling.wakes,
    scaling.brokers,
    scaling.windows,
    environment.images,
    environment.variables,
    environment.receivers,
)


def check(platform: Platform, positions: Source | None = None) -> list[Problem]:
    """Every contradiction of a document, in the order of the rules.

    Args:
        platform: the typed document.
        positions: the source it was read from; without it problems carry no lines.
    """
    source = positions or Source(None)
    problems = []
    for rule in _RULES:
        for finding in rule(platform):
            line, column = source.at(finding.path)
            problems.append(
                Problem(
                    finding.message,
                    field_path(finding.path),
                    source.file,
                    line,
                    column,
                    finding.found,
                    finding.wanted,
                    finding.fix,
                )
            )
    return problems
