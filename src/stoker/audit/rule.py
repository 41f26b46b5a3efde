"""A rule: a pure function over one subject, with its facts beside it.

    @rule(
        "gpu-quota-on-limits",
        Area.TENANCY,
        Severity.ERROR,
        title="ResourceQuota limits GPUs under a name that is never enforced",
        why="...",
        fix="...",
        references=("kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go:84",),
        on=lambda view: view.of("ResourceQuota"),
    )
    def _gpu_quota_on_limits(quota: Item, view: View) -> Iterator[Hit]: ...

``on`` names the subjects; their number is what a score is computed from, so it must yield only what the rule can judge.
Each rule has examples in ``audit/examples/<area>/<id>.yaml``, one that fires and one that does not: its documentation
and its test.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.view.view import View

__all__ = ["REGISTRY", "Rule", "rule"]

S = TypeVar("S")
Check = Callable[[S, View], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: kebab-case and stable: baselines and suppressions name it.
        title: what is wrong, one line, without the figures of a case.
        why: how it fails in production and what that costs: one to three sentences.
        fix: what to do, where the case gives no better answer.
        references: upstream paths with versions, or URLs.
        on: subjects to judge.
        check: what is wrong with one subject.
        needs: what must be there for the rule to say anything: ``""``, ``live`` or ``prometheus``.
    """

    id: str
    area: Area
    severity: Severity
    title: str
    why: str
    fix: str
    references: tuple[str, ...]
    on: Callable[[View], Iterable[Any]]
    check: Check[Any]
    needs: str = ""


REGISTRY: dict[str, Rule] = {}


def rule(
    id: str,  # noqa: A002  # the field's own name
    area: Area,
    severity: Severity,
    *,
    title: str,
    why: str,
    fix: str,
    references: tuple[str, ...],
    on: Callable[[View], Iterable[S]],
    needs: str = "",
) -> Callable[[Check[S]], Check[S]]:
    """Register a check under its facts. The decorated function stays what it is."""

    def register(check: Check[S]) -> Check[S]:
        if id in REGISTRY:
            raise ValueError(f"two rules are called {id}")
        REGISTRY[id] = Rule(id, area, severity, title, why, fix, references, on, check, needs)
        return check

    return register
