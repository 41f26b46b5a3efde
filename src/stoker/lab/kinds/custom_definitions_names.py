"""Status of a CustomResourceDefinition: which names are accepted, and whether it is served.

Upstream: apiextensions-apiserver pkg/controller/{status/naming_controller.go,establish/establishing_controller.go,
nonstructuralschema}. On a server three controllers write this one after the other; here it is one function.
"""

from collections.abc import Iterable

from stoker.lab.kinds.strategy import Object

__all__ = ["established_status", "is_established"]


def is_established(definition: Object) -> bool:
    """Whether its resources are served."""
    return any(
        one["type"] == "Established" and one["status"] == "True"
        for one in definition.get("status", {}).get("conditions") or ()
    )


def established_status(definition: Object, others: Iterable[Object], now: str) -> Object:
    """The status that the controllers arrive at; the definition itself is left as it is.

    Args:
        definition: as it is stored.
        others: the other definitions of the cluster, of any group.
        now: an RFC 3339 time for conditions that change.
    """
    status, names = definition.get("status", {}), definition["spec"]["names"]
    accepted: Object = {key: value for key, value in status.get("acceptedNames", {}).items() if value}
    resources, kinds = _taken(definition, others)
    reason, message = "", ""
    for field, taken in (("plural", resources), ("singular", resources), ("shortNames", resources)):
        problem = _conflict(names.get(field), accepted.get(field), taken)
        if problem:
            reason, message = f"{field[0].upper()}{field[1:]}Conflict", problem
        else:
            _copy(accepted, names, field)
    for field in ("kind", "listKind"):
        problem = _conflict(names.get(field), accepted.get(field), kinds)
        if problem:
            reason, message = f"{field[0].upper()}{field[1:]}Conflict", problem
        else:
            _copy(accepted, names, field)
    _copy(accepted, names, "categories")
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    is_accepted = not reason
    held = conditions.get("NamesAccepted")
    conditions["NamesAccepted"] = _condition(
        held,
        "NamesAccepted",
        ("True", "NoConflicts", "no conflicts found") if is_accepted else ("False", reason, message),
        now,
    )
    held = conditions.get("Established")
    if is_accepted:
        found = ("True", "InitialNamesAccepted", "the initial names have been accepted")
        conditions["Established"] = _condition(held, "Established", found, now)
    elif held is None:
        found = ("False", "NotAccepted", "not all names are accepted")
        conditions["Established"] = _condition(held, "Established", found, now)
    return {
        **status,
        "conditions": list(conditions.values()),
        "acceptedNames": {"plural": "", "kind": ""} | accepted,
        "storedVersions": status.get("storedVersions", []),
    }


def _copy(accepted: Object, names: Object, field: str) -> None:
    if names.get(field):
        accepted[field] = names[field]
    else:
        accepted.pop(field, None)


def _taken(definition: Object, others: Iterable[Object]) -> tuple[set[str], set[str]]:
    resources: set[str] = set()
    kinds: set[str] = set()
    own, group = definition["metadata"]["name"], definition["spec"]["group"]
    for other in others:
        if other["metadata"]["name"] == own or other["spec"]["group"] != group:
            continue
        names = other.get("status", {}).get("acceptedNames", {})
        resources |= {names.get("plural", ""), names.get("singular", ""), *names.get("shortNames", ())}
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    return resources - {""}, kinds - {""}


def _conflict(wanted: object, accepted: object, taken: set[str]) -> str:
    if wanted == accepted or wanted is None:
        return ""
    if not isinstance(wanted, list):
        return f'"{wanted}" is already in use' if wanted in taken else ""
    held = accepted if isinstance(accepted, list) else []
    problems = [f'"{one}" is already in use' for one in wanted if one not in held and one in taken]
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]" if problems else ""


def _condition(before: Object | None, kind: str, found: tuple[str, str, str], now: str) -> Object:
    """``SetCRDCondition``: the time is that of the last change of the status."""
    status, reason, message = found
    since = before["lastTransitionTime"] if before is not None and before["status"] == status else now
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
