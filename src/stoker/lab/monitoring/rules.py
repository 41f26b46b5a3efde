"""PrometheusRules as files that Prometheus reads, in the wall's time.

Source: prometheus-operator v0.93.0 pkg/operator/rules.go (one file an object, the object left out where it is not valid).
"""

from typing import Final

from stoker.errors import StokerError
from stoker.lab.monitoring.speed import LabTime, scaled_duration, scaled_interval, scaled_query
from stoker.lab.monitoring.targets import Object
from stoker.promql import parse

__all__ = ["rule_file", "rule_file_name"]

_COPIED: Final = ("record", "alert", "labels", "annotations")


def rule_file_name(rule: Object) -> str:
    metadata = rule["metadata"]
    return f"{metadata['namespace']}-{metadata['name']}-{metadata.get('uid', '')}.yaml"


def rule_file(rule: Object, time: LabTime) -> Object:
    """The groups of one object.

    Raises:
        StokerError: an expression or a duration is none.
    """
    groups = []
    for group in rule["spec"].get("groups") or []:
        found: Object = {"name": group["name"]}
        if group.get("interval"):
            found["interval"] = scaled_interval(group["interval"], time)
        if group.get("limit"):
            found["limit"] = group["limit"]
        found["rules"] = [_rule(one, time) for one in group.get("rules") or []]
        groups.append(found)
    return {"groups": groups}


def _rule(rule: Object, time: LabTime) -> Object:
    name = rule.get("alert") or rule.get("record") or ""
    try:
        expression = str(rule["expr"])
        parse(expression)  # at any speed: the operator refuses what is no PromQL
        found: Object = {"expr": scaled_query(expression, time)}
        for key in ("for", "keep_firing_for"):
            if rule.get(key):
                found[key] = scaled_duration(rule[key], time)
    except StokerError as error:
        raise StokerError(f"{name}: {error.message}") from error
    return {**{key: rule[key] for key in _COPIED if rule.get(key)}, **found}
