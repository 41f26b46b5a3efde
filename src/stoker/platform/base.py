"""What every part of the platform file shares: strictness, names, quantities, and how a field explains itself."""

import re
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

__all__ = [
    "Duration",
    "HostName",
    "Label",
    "Name",
    "Percent",
    "Quantity",
    "SecretKey",
    "Section",
    "ServiceName",
    "about",
    "bytes_of",
    "millicores_of",
    "seconds_of",
]


class Section(BaseModel):
    """A frozen, strict part of the document: unknown fields are errors, Python names appear in camelCase."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_enum_values=False,
        validate_default=False,
        regex_engine="rust-regex",
    )


def about(what: str, *, why: str = "", example: object = None) -> Any:
    """Describe a field: what it means, and why its default is what it is. `stoker explain` prints both."""
    extra: dict[str, Any] = {"x-why": why} if why else {}
    examples = [example] if example is not None else None
    info: FieldInfo = Field(description=what, examples=examples, json_schema_extra=extra or None)
    return info


# RFC 1123 label, short enough that every derived name ("<name>-predictor", "<name>-canary-predictor") stays
# within the 63 characters of a Service name.
Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)
]
# A Service is named after it, and a Service name begins with a letter (RFC 1035 label).
ServiceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)
]
# Namespaces, Secrets and claims are named by the user elsewhere: the full RFC 1123 length is theirs.
Label = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253
    ),
]
Percent = Annotated[int, Field(ge=1, le=99)]

_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_QUANTITY: Final = re.compile(r"^(\d{1,15}(?:\.\d{1,3})?)(m|Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$")
_DURATION: Final = re.compile(r"^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise ValueError("want a Kubernetes quantity such as 512Gi, 64, 500m or 1.5T")
    return value


def _duration(value: str) -> str:
    if not _DURATION.fullmatch(value):
        raise ValueError("want a duration such as 200ms, 2s, 15m, 4h or 1d")
    return value


def _text_of_number(value: object) -> object:
    # `cpu: 8` is an integer in YAML; Kubernetes accepts both forms and so do we.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_text_of_number),
    AfterValidator(_quantity),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _QUANTITY.pattern}, {"type": "integer", "minimum": 0}]}
    ),
]
Duration = Annotated[str, AfterValidator(_duration), Field(json_schema_extra={"pattern": _DURATION.pattern})]


def bytes_of(quantity: str) -> int:
    """Bytes of a memory quantity (``512Gi``, ``1.5T``, ``1024``)."""
    number, suffix = _split(quantity)
    if suffix == "m":
        return int(number / 1000)
    return int(number * {**_BINARY, **_DECIMAL}[suffix])


def millicores_of(quantity: str) -> int:
    """Thousandths of a CPU of a CPU quantity (``8``, ``500m``)."""
    number, suffix = _split(quantity)
    return int(number) if suffix == "m" else int(number * {**_BINARY, **_DECIMAL}[suffix] * 1000)


def seconds_of(duration: str) -> float:
    """Seconds of a duration (``200ms``, ``2s``, ``15m``)."""
    match = _DURATION.fullmatch(duration)
    if not match:
        raise ValueError(f"not a duration: {duration!r}")
    return float(match[1]) * _SECONDS[match[2]]


def _split(quantity: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(quantity)
    if not match:
        raise ValueError(f"not a quantity: {quantity!r}")
    return float(match[1]), match[2] or ""


class SecretKey(Section):
    """A key of a Secret that exists in the cluster. Stoker never reads, holds or renders its value."""

    name: Annotated[HostName, about("Name of the Secret, in the namespace that uses it.")]
    key: Annotated[
        str,
        StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253),
        about("Key within the Secret."),
    ]
