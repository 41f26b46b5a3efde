"""NetworkPolicy (pkg/apis/networking/validation/validation.go, v1/defaults.go, pkg/registry/networking/networkpolicy)."""

from collections.abc import Iterator

from stoker.lab.kinds.config_checks import each, port_name, port_number
from stoker.lab.kinds.metadata import label_selector_causes
from stoker.lab.kinds.networking_addresses import cidr_warnings, legacy_cidr, parse_cidr, to_network
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["NETWORK_POLICY"]

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")


def _default(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, ()):
            for port in rule.get("ports", ()):
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _peers(spec: Object) -> Iterator[tuple[str, Object]]:
    for direction, field in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction, ())):
            for at, peer in enumerate(rule.get(field, ())):
                yield f"spec.{direction}[{index}].{field}[{at}]", peer


def _validate(policy: Object) -> list[Cause]:
    spec = policy.get("spec", {})
    causes = label_selector_causes(spec.get("podSelector"), "spec.podSelector")
    for direction, field in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction, ())):
            path = f"spec.{direction}[{index}]"
            for at, port in enumerate(rule.get("ports", ())):
                causes += _port_causes(port, f"{path}.ports[{at}]")
            for at, peer in enumerate(rule.get(field, ())):
                causes += _peer_causes(peer, f"{path}.{field}[{at}]")
    types = spec.get("policyTypes", [])
    if len(types) > len(_TYPES):
        text = "may not specify more than two policyTypes"
        return [*causes, invalid_value("spec.policyTypes", types, text)]
    return causes + [
        unsupported(f"spec.policyTypes[{index}]", kind, _TYPES)
        for index, kind in enumerate(types)
        if kind not in _TYPES
    ]


def _port_causes(port: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    protocol, number, end = port.get("protocol", "TCP"), port.get("port"), port.get("endPort")
    if protocol not in _PROTOCOLS:
        causes.append(unsupported(f"{path}.protocol", protocol, _PROTOCOLS))
    where = f"{path}.endPort"
    if number is None:
        if end is not None:
            causes.append(invalid_value(where, end, "may not be specified when `port` is not specified"))
    elif isinstance(number, str):
        if end is not None:
            causes.append(invalid_value(where, end, "may not be specified when `port` is non-numeric"))
        causes += each(f"{path}.port", number, port_name)
    else:
        causes += each(f"{path}.port", number, port_number)
        if end is not None:
            if end < number:
                causes.append(invalid_value(where, number, "must be greater than or equal to `port`"))
            causes += each(where, end, port_number)
    return causes


def _peer_causes(peer: Object, path: str) -> list[Cause]:
    causes = [
        cause
        for name in ("podSelector", "namespaceSelector")
        for cause in label_selector_causes(peer.get(name), f"{path}.{name}")
    ]
    if "ipBlock" in peer:
        causes += _block_causes(peer["ipBlock"], f"{path}.ipBlock")
    if not peer:
        causes.append(required(path, "must specify a peer"))
    elif len(peer) > 1 and "ipBlock" in peer:
        causes.append(forbidden_field(path, "may not specify both ipBlock and another peer"))
    return causes


def _block_causes(block: Object, path: str) -> list[Cause]:
    text = block.get("cidr", "")
    if not text:
        return [required(f"{path}.cidr")]
    causes = legacy_cidr(f"{path}.cidr", text)
    whole = parse_cidr(text)
    if whole is None:
        return causes
    network = to_network(whole)
    for index, excepted in enumerate(block.get("except", ())):
        where = f"{path}.except[{index}]"
        causes += legacy_cidr(where, excepted)
        found = parse_cidr(excepted)
        if found is None:
            continue
        part = to_network(found)
        if part.network_address not in network or network.prefixlen >= part.prefixlen:
            causes.append(invalid_value(where, excepted, "must be a strict subset of `cidr`"))
    return causes


def _warnings(policy: Object) -> list[str]:
    found: list[str] = []
    for path, peer in _peers(policy.get("spec", {})):
        block = peer.get("ipBlock")
        if block is not None:
            found += cidr_warnings(f"{path}.ipBlock.cidr", block.get("cidr", ""))
            for index, excepted in enumerate(block.get("except", ())):
                found += cidr_warnings(f"{path}.ipBlock.except[{index}]", excepted)
    return found


NETWORK_POLICY = Strategy(default=_default, validate=_validate, warnings=_warnings, has_generation=True)
