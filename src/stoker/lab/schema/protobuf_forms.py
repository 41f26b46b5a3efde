"""Values whose JSON is not that of their message: quantities, times, numbers that may be strings, JSON within protobuf.

Each function takes the fields of the message behind a type (see ``protobuf_fields.txt``) and returns the JSON form; None
is null. Sources: Unmarshal and MarshalJSON of apimachinery's pkg/api/resource, pkg/util/intstr, pkg/apis/meta/v1 (time,
micro_time, FieldsV1), pkg/runtime (RawExtension), apiextensions' marshal.go.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from stoker.lab.schema.protobuf_wire import ProtobufError

__all__ = ["FORMS", "raw_json"]

Fields = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)  # Go's zero time


def raw_json(raw: bytes) -> Any:
    """The value of JSON text.

    Raises:
        ProtobufError: the text is no JSON.
    """
    try:
        return json.loads(raw.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ProtobufError(f"json: {error}") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _quantity(fields: Fields) -> str:
    text: str = fields.get("string", "0")
    return text


def _int_or_string(fields: Fields) -> int | str:
    kind = fields.get("type", 0)
    if kind not in {0, 1}:
        raise ProtobufError("impossible IntOrString.Type")
    value: int | str = fields.get("strVal", "") if kind else fields.get("intVal", 0)
    return value


def _moment(fields: Fields) -> datetime | None:
    if not fields:
        return None
    try:
        moment = _EPOCH + timedelta(
            seconds=fields.get("seconds", 0), microseconds=fields.get("nanos", 0) // 1000
        )
    except OverflowError:
        raise ProtobufError("Time: seconds are out of range") from None
    return None if moment == _NO_TIME else moment


def _time(fields: Fields) -> str | None:
    """Whole seconds: the rest is dropped."""
    moment = _moment(fields and {"seconds": fields.get("seconds", 0)})
    return None if moment is None else f"{moment.replace(tzinfo=None).isoformat()}Z"


def _micro_time(fields: Fields) -> str | None:
    moment = _moment(fields)
    return None if moment is None else f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _raw(fields: Fields) -> Any:
    return raw_json(fields["raw"]) if "raw" in fields else None


def _strings(fields: Fields) -> list[str]:
    found: list[str] = fields.get("items", [])
    return found


def _schema_or_list(fields: Fields) -> Any:
    return fields.get("list") or fields.get("schema")


def _schema_or_boolean(fields: Fields) -> Any:
    return fields.get("schema", fields.get("allows", False))


FORMS: dict[str, Callable[[Fields], Any]] = {
    "q": _quantity,
    "x": _int_or_string,
    "t": _time,
    "u": _micro_time,
    "j": _raw,
    "v": _strings,
    "a": _schema_or_list,
    "o": _schema_or_boolean,
    "p": _schema_or_list,
}
