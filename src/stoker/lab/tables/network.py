"""Rows of services, endpoints, ingresses, volumes and storage classes.

Upstream: pkg/printers/internalversion/printers.go, pkg/apis/core/helper/helpers.go.
"""

from datetime import datetime
from typing import Any

from stoker.lab.tables.duration import age
from stoker.lab.tables.texts import NONE, UNSET, format_labels, format_selector, lists_more

__all__ = ["NETWORK"]

Object = dict[str, Any]
_NO: Object = {}
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def _name(obj: Object) -> str:
    return str(obj.get("metadata", _NO).get("name", ""))


def _age(obj: Object, now: datetime) -> str:
    return age(obj.get("metadata", _NO).get("creationTimestamp"), now)


def _annotation(obj: Object, key: str) -> str | None:
    found: str | None = obj.get("metadata", _NO).get("annotations", _NO).get(key)
    return found


def _service(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    addresses = spec.get("clusterIPs", ())
    return [
        _name(obj),
        spec.get("type", ""),
        addresses[0] if addresses else NONE,
        _external(obj),
        ",".join(_port(port) for port in spec.get("ports", ())) or NONE,
        _age(obj, now),
        format_labels(spec.get("selector")),
    ]


def _external(obj: Object) -> str:
    spec = obj.get("spec", _NO)
    fixed = spec.get("externalIPs", [])
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(fixed) or NONE
        case "LoadBalancer":
            return ",".join([*_balanced(obj), *fixed]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return "<unknown>"


def _balanced(obj: Object) -> list[str]:
    ingress = obj.get("status", _NO).get("loadBalancer", _NO).get("ingress", ())
    return sorted({one.get("ip") or one.get("hostname") or "" for one in ingress} - {""})


def _port(port: Object) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort", 0) > 0 else ""
    return f"{port.get('port', 0)}{node}/{port.get('protocol', '')}"


def _ingress(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    return [
        _name(obj),
        spec.get("ingressClassName", NONE),
        _hosts(spec.get("rules", [])),
        ",".join(_balanced(obj)),
        "80, 443" if spec.get("tls") else "80",
        _age(obj, now),
    ]


def _hosts(rules: list[Object]) -> str:
    shown: list[str] = []
    for rule in rules:
        if len(shown) == 3:
            return f"{','.join(shown)} + {len(rules) - 3} more..."
        if rule.get("host"):
            shown.append(rule["host"])
    return ",".join(shown) or "*"


def _ingress_class(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    is_default = _annotation(obj, "ingressclass.kubernetes.io/is-default-class") == "true"
    parameters = spec.get("parameters")
    text = NONE
    if parameters is not None:
        group = f".{parameters['apiGroup']}" if "apiGroup" in parameters else ""
        text = f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
    return [_name(obj) + " (default)" * is_default, spec.get("controller", ""), text, _age(obj, now)]


def _network_policy(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), format_selector(obj.get("spec", _NO).get("podSelector") or _NO), _age(obj, now)]


def _service_cidr(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), ",".join(obj.get("spec", _NO).get("cidrs", ())), _age(obj, now)]


def _ip_address(obj: Object, now: datetime) -> list[Any]:
    parent = obj.get("spec", _NO).get("parentRef")
    text = NONE
    if parent is not None:
        group = f".{parent['group']}" if parent.get("group") else ""
        parts = [
            f"{parent.get('resource', '')}{group}".lower(),
            parent.get("namespace"),
            parent.get("name", ""),
        ]
        text = "/".join(part for part in parts if part is not None)
    # The row has a cell more than there are columns, upstream as here.
    return [_name(obj), text, _age(obj, now)]


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    shown: list[str] = []
    for subset in obj.get("subsets", ()):
        ports = subset.get("ports") or [None]
        for port in ports:
            for one in subset.get("addresses", ()):
                address = one.get("ip", "")
                host = f"[{address}]" if ":" in address else address
                shown.append(address if port is None else f"{host}:{port['port']}")
    text = lists_more(shown) if shown else ""
    return [_name(obj), text if obj.get("subsets") else NONE, _age(obj, now)]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port", port.get("name", "*"))) for port in obj.get("ports") or ()]
    addresses = [address for one in obj.get("endpoints") or () for address in one.get("addresses", ())]
    return [_name(obj), obj.get("addressType", ""), lists_more(ports), lists_more(addresses), _age(obj, now)]


def _access(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _storage_class_of(obj: Object) -> str:
    beta = _annotation(obj, _BETA_CLASS)
    return obj.get("spec", _NO).get("storageClassName", "") if beta is None else beta


def _phase(obj: Object) -> str:
    if obj.get("metadata", _NO).get("deletionTimestamp"):
        return "Terminating"
    return str(obj.get("status", _NO).get("phase", ""))


def _volume(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    claim = spec.get("claimRef")
    return [
        _name(obj),
        spec.get("capacity", _NO).get("storage", "0"),
        _access(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        "" if claim is None else f"{claim.get('namespace', '')}/{claim.get('name', '')}",
        _storage_class_of(obj),
        spec.get("volumeAttributesClassName", UNSET),
        obj.get("status", _NO).get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _claim(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    volume = spec.get("volumeName", "")
    return [
        _name(obj),
        _phase(obj),
        volume,
        status.get("capacity", _NO).get("storage", "0") if volume else "",
        _access(status.get("accessModes")) if volume else "",
        _storage_class_of(obj),
        spec.get("volumeAttributesClassName", UNSET),
        _age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _storage_class(obj: Object, now: datetime) -> list[Any]:
    is_default = "true" in {
        _annotation(obj, "storageclass.kubernetes.io/is-default-class"),
        _annotation(obj, "storageclass.beta.kubernetes.io/is-default-class"),
    }
    return [
        _name(obj) + " (default)" * is_default,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        _age(obj, now),
    ]


def _volume_attributes_class(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("driverName", ""), _age(obj, now)]


def _volume_attachment(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    return [
        _name(obj),
        spec.get("attacher", ""),
        spec.get("source", _NO).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        obj.get("status", _NO).get("attached", False),
        _age(obj, now),
    ]


def _csi_node(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("spec", _NO).get("drivers") or ()), _age(obj, now)]


def _csi_driver(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    tokens = spec.get("tokenRequests")
    return [
        _name(obj),
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        UNSET if tokens is None else ",".join(one.get("audience", "") for one in tokens),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes", ())) or NONE,
        _age(obj, now),
    ]


def _csi_capacity(obj: Object, _: datetime) -> list[Any]:
    return [_name(obj), obj.get("storageClassName", ""), obj.get("capacity", UNSET)]


_NET, _STORAGE = "networking.k8s.io", "storage.k8s.io"
NETWORK = {
    ("", "Service"): _service,
    ("", "Endpoints"): _endpoints,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    (_NET, "Ingress"): _ingress,
    (_NET, "IngressClass"): _ingress_class,
    (_NET, "NetworkPolicy"): _network_policy,
    (_NET, "ServiceCIDR"): _service_cidr,
    (_NET, "IPAddress"): _ip_address,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    (_STORAGE, "StorageClass"): _storage_class,
    (_STORAGE, "VolumeAttributesClass"): _volume_attributes_class,
    (_STORAGE, "VolumeAttachment"): _volume_attachment,
    (_STORAGE, "CSINode"): _csi_node,
    (_STORAGE, "CSIDriver"): _csi_driver,
    (_STORAGE, "CSIStorageCapacity"): _csi_capacity,
}
