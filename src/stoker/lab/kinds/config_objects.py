"""ConfigMap, Secret and ServiceAccount (pkg/apis/core/validation/validation.go; pkg/registry/core/{configmap,secret,…})."""

import base64
import binascii
import json
from typing import Any

from stoker.lab.kinds.config_checks import config_key, each
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, too_long

__all__ = ["CONFIG_MAP", "SECRET", "SERVICE_ACCOUNT"]

_LIMIT = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_ENFORCE = "kubernetes.io/enforce-mountable-secrets"
_ACCOUNT_NAME = "kubernetes.io/service-account.name"


def _decoded_size(value: str) -> int:
    return len(value) * 3 // 4 - value.count("=", -2)


# --- ConfigMap ----------------------------------------------------------------------------------------------------


def _validate_config_map(found: Object) -> list[Cause]:
    data, binary = found.get("data", {}), found.get("binaryData", {})
    causes: list[Cause] = []
    for key in sorted(data):
        causes += each(f"data[{key}]", key, config_key)
        if key in binary:
            causes.append(invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in sorted(binary):
        causes += each(f"binaryData[{key}]", key, config_key)
    size = sum(len(value.encode()) for value in data.values()) + sum(map(_decoded_size, binary.values()))
    return [*causes, too_long("", _LIMIT)] if size > _LIMIT else causes


def _frozen_causes(new: Object, old: Object, fields: tuple[str, ...]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if new.get("immutable") else [forbidden_field("immutable", _FROZEN)]
    return causes + [forbidden_field(name, _FROZEN) for name in fields if new.get(name) != old.get(name)]


def _validate_config_map_update(new: Object, old: Object) -> list[Cause]:
    return _frozen_causes(new, old, ("data", "binaryData"))


CONFIG_MAP = Strategy(validate=_validate_config_map, validate_update=_validate_config_map_update)


# --- Secret -------------------------------------------------------------------------------------------------------


def _default_secret(secret: Object) -> None:
    plain = secret.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        secret["data"] = {**secret.get("data", {}), **encoded}
    if not secret.get("type"):
        secret["type"] = "Opaque"


def _keep_type(new: Object, old: Object) -> None:
    if not new.get("type"):
        new["type"] = old["type"]


def _unreadable(value: str) -> str:
    """What Go's encoding/json says of a text that is no object; empty where it is one."""
    try:
        text = base64.b64decode(value).decode(errors="replace")
    except (binascii.Error, ValueError):
        text = value
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        if not text[error.pos :].strip():
            return "unexpected end of JSON input"
        where = (
            "looking for beginning of value" if error.msg == "Expecting value" else "after top-level value"
        )
        if error.msg.startswith("Expecting property name"):
            where = "looking for beginning of object key string"
        return f"invalid character {_quoted(text[error.pos])} {where}"
    if found is None or isinstance(found, dict):
        return ""
    kinds = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return f"json: cannot unmarshal {kinds[type(found)]} into Go value of type map[string]interface {{}}"


def _quoted(character: str) -> str:
    return {"'": "'\\''", '"': "'\"'"}.get(character, f"'{character}'")


def _json_key_causes(data: dict[str, str], key: str) -> list[Cause]:
    if key not in data:
        return [required(f"data[{key}]")]
    problem = _unreadable(data[key])
    return [invalid_value(f"data[{key}]", "<secret contents redacted>", problem)] if problem else []


def _validate_secret(secret: Object) -> list[Cause]:
    data = secret.get("data", {})
    causes: list[Cause] = []
    for key in sorted(data):
        causes += each(f"data[{key}]", key, config_key)
    if sum(map(_decoded_size, data.values())) > _LIMIT:
        causes.append(too_long("data", _LIMIT))
    return causes + _type_causes(secret, data)


def _type_causes(secret: Object, data: dict[str, str]) -> list[Cause]:
    kind = secret.get("type", "")
    if kind == "kubernetes.io/service-account-token":
        named = secret["metadata"].get("annotations", {}).get(_ACCOUNT_NAME)
        return [] if named else [required(f"metadata.annotations[{_ACCOUNT_NAME}]")]
    if kind == "kubernetes.io/dockercfg":
        return _json_key_causes(data, ".dockercfg")
    if kind == "kubernetes.io/dockerconfigjson":
        return _json_key_causes(data, ".dockerconfigjson")
    if kind == "kubernetes.io/basic-auth":
        keys = ("username", "password")
        return [] if any(key in data for key in keys) else [required(f"data[{key}]") for key in keys]
    if kind == "kubernetes.io/ssh-auth":
        return [] if data.get("ssh-privatekey") else [required("data[ssh-privatekey]")]
    if kind == "kubernetes.io/tls":
        return [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return []


def _validate_secret_update(new: Object, old: Object) -> list[Cause]:
    causes = []
    if new.get("type") != old.get("type"):
        causes.append(invalid_value("type", new.get("type", ""), "field is immutable"))
    return causes + _frozen_causes(new, old, ("data",))


def _secret_warnings(secret: Object) -> list[str]:
    """A key pair is looked at only as far as whether it is PEM."""
    if secret.get("type") != "kubernetes.io/tls":
        return []
    data = secret.get("data", {})
    for key, shown in (("tls.crt", "certificate"), ("tls.key", "key")):
        try:
            text = base64.b64decode(data.get(key, ""))
        except (binascii.Error, ValueError):
            text = b""
        if b"-----BEGIN" not in text:
            return [f"tls: failed to find any PEM data in {shown} input"]
    return []


SECRET = Strategy(
    default=_default_secret,
    prepare_update=_keep_type,
    validate=_validate_secret,
    validate_update=_validate_secret_update,
    warnings=_secret_warnings,
)


# --- ServiceAccount -----------------------------------------------------------------------------------------------


def _clean_references(account: Object, _: Object | None = None) -> None:
    """A reference to a secret is its name only."""
    if account.get("secrets"):
        account["secrets"] = [{"name": one["name"]} if "name" in one else {} for one in account["secrets"]]


def _account_warnings(account: Object) -> list[str]:
    if _ENFORCE not in account["metadata"].get("annotations", {}):
        return []
    text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{_ENFORCE}]: {text}"]


SERVICE_ACCOUNT = Strategy(
    prepare_create=_clean_references, prepare_update=_clean_references, warnings=_account_warnings
)
