"""Addresses and networks in API fields, and what the server says of them (apimachinery pkg/util/validation/ip.go).

Fields older than Kubernetes 1.36 ("legacy") keep what they already held; new values must be strict. Go's sloppy parser
accepts leading zeros and IPv4-mapped IPv6, so these are told apart from text that is no address at all.
"""

import ipaddress
import json
import re
from collections.abc import Container

from stoker.lab.status import Cause, invalid_value

__all__ = [
    "cidr_warnings",
    "endpoint_address",
    "ip_warnings",
    "is_ipv6",
    "legacy_cidr",
    "legacy_ip",
    "parse_cidr",
    "parse_ip",
    "strict_cidr",
    "strict_ip",
    "to_network",
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_OCTETS = re.compile(r"\d{1,8}\.\d{1,8}\.\d{1,8}\.\d{1,8}")
_LINK_LOCAL_MULTICAST = ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16")


# The lab's pods have addresses of their own on loopback (`stoker.lab.nodes.host`): the one exception to upstream's rule.
_LAB_PODS = ipaddress.IPv4Network("127.64.0.0/10")


def _unzeroed(value: str) -> str | None:
    """Four decimal numbers without leading zeros; None where it is no dotted address."""
    if not _OCTETS.fullmatch(value):
        return None
    return ".".join(str(int(part)) for part in value.split("."))


def parse_ip(value: str) -> Address | None:
    """``ParseIPSloppy``; an IPv4-mapped address is the IPv4 address, as in Go's net.IP."""
    if ":" not in value:
        dotted = _unzeroed(value)
        try:
            return None if dotted is None else ipaddress.IPv4Address(dotted)
        except ValueError:
            return None
    if "%" in value:
        return None
    head, colon, tail = value.rpartition(":")
    text = f"{head}{colon}{_unzeroed(tail)}" if "." in tail else value
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found


def is_ipv6(value: str) -> bool:
    return isinstance(parse_ip(value), ipaddress.IPv6Address)


def _strict_problems(value: str) -> list[str]:
    """What netip.ParseAddr would refuse of an address that the sloppy parser takes."""
    if "." in value:
        dotted = value.rpartition(":")[2]
        if _unzeroed(dotted) != dotted:
            return ["must not have leading 0s"]
    if ":" in value and ipaddress.IPv6Address(value).ipv4_mapped is not None:
        return ["must not be an IPv4-mapped IPv6 address"]
    return []


def legacy_ip(path: str, value: str, already: Container[str] = ()) -> list[Cause]:
    """``IsValidIPForLegacyField``: a value that the old object had is kept."""
    if value in already:
        return []
    if parse_ip(value) is None:
        return [invalid_value(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return [invalid_value(path, value, message) for message in _strict_problems(value)]


def strict_ip(path: str, value: str) -> list[Cause]:
    """``IsValidIP``: strict, and written in the one canonical form."""
    causes = legacy_ip(path, value)
    canonical = str(parse_ip(value))
    if not causes and value != canonical:
        causes.append(invalid_value(path, value, f'must be in canonical form ("{canonical}")'))
    return causes


def endpoint_address(path: str, value: str) -> list[Cause]:
    """``ValidateEndpointIP``: no address that only means something on one machine."""
    found = parse_ip(value)
    if found is None:
        return [invalid_value(path, value, "must be a valid IP address")]
    messages = []
    if found.is_unspecified:
        messages.append(f"may not be unspecified ({value})")
    if found.is_loopback and found not in _LAB_PODS:
        messages.append("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if found.is_link_local:
        messages.append("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if any(found in network for network in _LINK_LOCAL_MULTICAST):
        messages.append("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    return [invalid_value(path, value, message) for message in messages]


def ip_warnings(path: str, value: str) -> list[str]:
    """``GetWarningsForIP``."""
    found = parse_ip(value)
    if found is None:
        return []
    if _strict_problems(value):
        return [f'{path}: non-standard IP address {json.dumps(value)} is invalid: use "{found}"']
    if found.version == 6 and str(found) != value:
        return [
            f'{path}: IPv6 address {json.dumps(value)} should be in RFC 5952 canonical format ("{found}")'
        ]
    return []


def parse_cidr(value: str) -> tuple[Address, int] | None:
    """An address and its prefix length as ``ParseCIDRSloppy`` reads them; None where the text is no CIDR."""
    text, slash, length = value.partition("/")
    found = parse_ip(text)
    if not slash or found is None or not re.fullmatch(r"\d{1,4}", length):
        return None
    bits = int(length)
    if ":" in text and found.version == 4:
        # an IPv4-mapped prefix counts from the start of the 128 bits
        return (found, bits - 96) if 96 <= bits <= 128 else None
    return (found, bits) if bits <= found.max_prefixlen else None


def to_network(found: tuple[Address, int]) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(f"{found[0]}/{found[1]}", strict=False)


def _strict_cidr_problems(value: str, found: tuple[Address, int]) -> list[str]:
    text, _, length = value.partition("/")
    problems = _strict_problems(text)
    if problems == ["must not have leading 0s"] or (length.startswith("0") and length != "0"):
        return ["must not have leading 0s in IP or prefix length"]
    if problems:
        return ["must not have an IPv4-mapped IPv6 address"]
    if to_network(found).network_address != found[0]:
        return ["must not have bits set beyond the prefix length"]
    return []


def legacy_cidr(path: str, value: str, already: Container[str] = ()) -> list[Cause]:
    """``IsValidCIDRForLegacyField``."""
    if value in already:
        return []
    found = parse_cidr(value)
    if found is None:
        return [invalid_value(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    return [invalid_value(path, value, message) for message in _strict_cidr_problems(value, found)]


def strict_cidr(path: str, value: str) -> list[Cause]:
    """``IsValidCIDR``."""
    causes = legacy_cidr(path, value)
    found = parse_cidr(value)
    if not causes and found is not None and value != str(to_network(found)):
        causes.append(invalid_value(path, value, f'must be in canonical form ("{to_network(found)}")'))
    return causes


def cidr_warnings(path: str, value: str) -> list[str]:
    """``GetWarningsForCIDR``."""
    found = parse_cidr(value)
    if found is None:
        return []
    network, shown = to_network(found), json.dumps(value)
    warnings = []
    if network.network_address != found[0]:
        single = f"{found[0]}/{found[0].max_prefixlen}"
        warnings.append(
            f'{path}: CIDR value {shown} is ambiguous in this context (should be "{network}" or "{single}"?)'
        )
    if any("beyond" not in problem for problem in _strict_cidr_problems(value, found)):
        warnings.append(f'{path}: non-standard CIDR value {shown} is invalid: use "{network}"')
    if not warnings and network.version == 6 and str(network) != value:
        warnings.append(
            f'{path}: IPv6 CIDR value {shown} should be in RFC 5952 canonical format ("{network}")'
        )
    return warnings
