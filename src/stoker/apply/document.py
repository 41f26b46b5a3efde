"""A plan, and what a run did, as JSON documents: keys are part of the contract."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stoker.apply.changes import Action, Change, Plan
from stoker.apply.compare import FieldChange
from stoker.apply.fields import ABSENT
from stoker.apply.inventory import Run
from stoker.apply.run import Applied
from stoker.apply.undo import Undo
from stoker.kube.refs import Ref

__all__ = ["applied_document", "plan_document", "run_document", "summary", "undo_document"]


def summary(plan: Plan) -> dict[str, int]:
    """How many objects meet what, ``none`` among them."""
    counts = Counter(c.action.value for c in plan.changes if c.is_change or c.wanted is not None)
    return {action.value: counts[action.value] for action in Action}


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan: what changes, in the order in which it is done."""
    money = plan.money
    return {
        "platform": plan.platform,
        "server": plan.server,
        "measured_on": plan.measured_on,
        "summary": summary(plan),
        "blocked": len(plan.blocked),
        "changes": [_change(change) for change in plan.changes if change.is_change],
        "no_longer_wanted": [_ref(ref) for ref in plan.strays],
        "left": [
            {**_ref(c.ref), "why": "; ".join(c.notes)}
            for c in plan.changes
            if not c.is_change and c.wanted is None
        ],
        "money": None
        if money is None
        else {"gpus": money.gpus, "usd_per_month": money.usd_per_month, "source": money.source},
    }


def _ref(ref: Ref) -> dict[str, str]:
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _change(change: Change) -> dict[str, Any]:
    return {
        **_ref(change.ref),
        "action": change.action.value,
        "wave": int(change.wave),
        "wave_name": change.wave.name.lower(),
        "upgrade": change.upgrade.value,
        "reason": change.reason,
        "checked": change.checked.value,
        "fields": [_field(field) for field in change.fields],
        "conflicts": [
            {
                "field": c.field,
                "manager": c.manager,
                **_value("theirs", c.theirs),
                **_value("ours", c.ours),
                "taken": c.taken,
                "hint": c.hint,
            }
            for c in change.conflicts
        ],
        "risks": [{"kind": risk.kind.value, "why": risk.why} for risk in change.risks],
        "blocked": change.blocked,
        "fix": change.fix,
        "notes": list(change.notes),
    }


def _value(key: str, value: Any) -> dict[str, Any]:
    return {} if value is ABSENT else {key: value}


def _field(change: FieldChange) -> dict[str, Any]:
    return {"path": change.field or ".", **_value("before", change.before), **_value("after", change.after)}


def applied_document(applied: Applied) -> dict[str, Any]:
    """What a run did."""
    return {
        "run": applied.run or None,
        "complete": applied.is_complete,
        "done": [{**_ref(ref), "action": action.value} for ref, action in applied.done],
        "not_ready": [
            {**_ref(ref), "state": type(state).__name__.lower(), "why": state.why}
            for ref, state in applied.unready
        ],
        "waves_left": [wave.name.lower() for wave in applied.left],
    }


def undo_document(steps: Sequence[Undo]) -> list[dict[str, Any]]:
    """What undoing does, object by object."""
    return [
        {
            **_ref(step.ref),
            "action": step.kind.value,
            "why": step.why,
            "changed_by_others": list(step.left),
        }
        for step in steps
    ]


def run_document(run: Run) -> dict[str, Any]:
    """One run of the record."""
    return {
        "run": run.number,
        "command": run.command,
        "platform": run.platform,
        "who": run.who,
        "state": run.state,
        "started": run.started,
        "ended": run.ended or None,
        "done": dict(run.counts or {}),
        "undoes": run.undoes or None,
    }
