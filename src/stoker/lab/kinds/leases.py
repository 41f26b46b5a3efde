"""Lease (pkg/apis/coordination/validation/validation.go, pkg/registry/coordination/lease/strategy.go)."""

from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, invalid_value

__all__ = ["LEASE"]


def _drop_coordination(lease: Object, old: Object | None = None) -> None:
    """Coordinated leader election is off in a default 1.36."""
    kept = (old or {}).get("spec", {})
    for name in ("strategy", "preferredHolder"):
        if name not in kept:
            lease.get("spec", {}).pop(name, None)


def _validate(lease: Object) -> list[Cause]:
    spec = lease.get("spec", {})
    seconds, transitions = spec.get("leaseDurationSeconds", 1), spec.get("leaseTransitions", 0)
    causes = []
    if seconds <= 0:
        causes.append(invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions < 0:
        text = "must be greater than or equal to 0"
        causes.append(invalid_value("spec.leaseTransitions", transitions, text))
    if spec.get("preferredHolder") and not spec.get("strategy"):
        text = "may only be specified if `strategy` is defined"
        causes.append(forbidden_field("spec.preferredHolder", text))
    return causes


LEASE = Strategy(
    prepare_create=_drop_coordination,
    prepare_update=_drop_coordination,
    validate=_validate,
    allows_unconditional_update=False,
    allows_create_on_update=True,
)
