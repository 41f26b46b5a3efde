"""Get and list: one object, or many, page by page, whole or as a table or as metadata only."""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.convert import from_storage
from stoker.lab.api.selectors import FieldSelector, LabelSelector, field_selector, label_selector
from stoker.lab.api.served import Kind
from stoker.lab.api.storing import key_of
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError, Cause, bad_request, expired, invalid, not_found
from stoker.lab.store import Record, TooOldError
from stoker.lab.tables import check_include_object, table
from stoker.lab.tables.table import IncludeObject

__all__ = [
    "Form",
    "Wanted",
    "form_of",
    "get",
    "list_objects",
    "metadata_only",
    "selection",
    "text_of",
    "wanted",
]

_encode = msgspec.json.Encoder().encode
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Form:
    """In which form objects are wanted: ``object``, ``table`` or ``metadata``, with the API version of the latter two."""

    name: str = "object"
    version: str = "v1"


def form_of(accept: str) -> Form:
    """The first form in an Accept header that the server can write.

    Raises:
        ApiError: 406, where there is none.
    """
    if not accept.strip():
        return Form()
    for part in accept.split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind not in {"application/json", "application/*", "*/*"}:
            continue
        found = dict(parameter.partition("=")[::2] for parameter in parameters)
        wanted, version = found.get("as"), found.get("v", "v1")
        if wanted is None:
            return Form()
        if found.get("g") == "meta.k8s.io" and version in {"v1", "v1beta1"}:
            if wanted == "Table":
                return Form("table", version)
            if wanted in {"PartialObjectMetadata", "PartialObjectMetadataList"}:
                return Form("metadata", version)
    raise ApiError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/json;as=Table;g=meta.k8s.io;v=v1, "
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list or a watch selects."""

    labels: LabelSelector
    fields: FieldSelector
    form: Form
    include: IncludeObject

    @property
    def is_everything(self) -> bool:
        return not self.labels.requirements and not self.fields.terms

    def matches(self, obj: Object) -> bool:
        return self.labels.matches(obj) and self.fields.matches(obj)


def _json_path(path: str) -> Any:
    parts = [part for part in path.strip("{}").lstrip(".").split(".") if part]

    def get_field(obj: Object) -> str:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)

    return get_field


def wanted(kind: Kind, call: Call) -> Wanted:
    """Selectors and form of a call.

    Raises:
        ApiError: a selector that cannot be read, a form that cannot be written.
    """
    selectable = {}
    if kind.custom is not None:
        selectable = {path.lstrip("."): _json_path(path) for path in kind.custom.selectable}
    return Wanted(
        label_selector(call.query.get("labelSelector", "")),
        field_selector(call.query.get("fieldSelector", ""), kind.resource, selectable),
        form_of(call.accept),
        check_include_object(call.query.get("includeObject")),
    )


# --- one ----------------------------------------------------------------------------------------------------------


def get(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """GET of an object."""
    form = form_of(call.accept)
    record = cluster.store.get(key_of(kind, call.namespace, call.name))
    if record is None:
        raise not_found(*kind.error_names(), call.name)
    if form.name == "object":
        return Answer(text=text_of(kind, record))
    obj = from_storage(kind, record.object())
    if form.name == "metadata":
        return Answer(metadata_only(obj, form))
    return Answer(
        _table(cluster, kind, [obj], form, check_include_object(call.query.get("includeObject")),
               {"resourceVersion": obj["metadata"]["resourceVersion"]})
    )  # fmt: skip


def text_of(kind: Kind, record: Record) -> bytes:
    """The JSON of a stored object in the version of ``kind``."""
    if kind.resource.api_version == kind.storage_version:
        return record.text
    return _encode(from_storage(kind, record.object()))


def metadata_only(obj: Object, form: Form) -> Object:
    """PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": obj["metadata"],
    }


def _table(  # noqa: PLR0917  # what a table is made of
    cluster: Cluster,
    kind: Kind,
    objects: list[Object],
    form: Form,
    include: IncludeObject,
    metadata: dict[str, Any],
) -> Object:
    return table(
        kind.resource,
        objects,
        now=cluster.clock(),
        include_object=include,
        list_metadata=metadata,
        columns=None if kind.custom is None else kind.custom.columns,
        version=form.version,
    )


# --- many ---------------------------------------------------------------------------------------------------------


def _limit(call: Call) -> int:
    text = call.query.get("limit") or "0"
    try:
        return max(0, int(text))
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _check_list_options(call: Call) -> None:
    causes: list[Cause] = []
    if call.query.get("sendInitialEvents") is not None:
        causes.append(
            Cause(
                "FieldValueForbidden",
                "Forbidden: sendInitialEvents is forbidden for list",
                "sendInitialEvents",
            )
        )
    match = call.query.get("resourceVersionMatch", "")
    version = call.query.get("resourceVersion", "")
    if match:
        if not version:
            causes.append(
                _forbidden_match("resourceVersionMatch is forbidden unless resourceVersion is provided")
            )
        if call.query.get("continue"):
            causes.append(_forbidden_match("resourceVersionMatch is forbidden when continue is provided"))
        if match not in {"Exact", "NotOlderThan"}:
            causes.append(
                Cause(
                    "FieldValueNotSupported",
                    f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""',
                    "resourceVersionMatch",
                )
            )
        elif match == "Exact" and version == "0":
            causes.append(
                _forbidden_match('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
            )
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)


def _forbidden_match(text: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {text}", "resourceVersionMatch")


def _revision_of(text: str) -> int:
    try:
        found = int(text)
    except ValueError:
        raise bad_request(
            f"Invalid value: {json.dumps(text)}: strconv.ParseUint: parsing {json.dumps(text)}: invalid syntax"
        ) from None
    if found < 0:
        raise bad_request(
            f"Invalid value: {json.dumps(text)}: strconv.ParseUint: parsing {json.dumps(text)}: invalid syntax"
        )
    return found


def _continue(call: Call) -> tuple[int, tuple[str, str]] | None:
    text = call.query.get("continue")
    if not text:
        return None
    if call.query.get("resourceVersion") not in {None, "", "0"}:
        raise bad_request("specifying resource version is not allowed when using continue")
    try:
        token = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise bad_request(
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 0"
        ) from None
    try:
        found = json.loads(token)
        namespace, _, name = found["start"].partition("/")
        return int(found["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError, AttributeError):
        first = token[:1].decode("latin-1") or " "
        shown = first if first.isprintable() and first.isascii() else f"\\u{ord(first):04x}"
        raise bad_request(
            f"invalid continue token: continue key is not valid: invalid character '{shown}' looking for beginning of value"
        ) from None


def _token(revision: int, place: tuple[str, str]) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": f"{place[0]}/{place[1]}"})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def selection(
    cluster: Cluster, kind: Kind, call: Call
) -> tuple[list[tuple[tuple[str, str], Record]], dict[str, Any]]:
    """Records that a list answers with, and the list's metadata.

    Raises:
        ApiError: 400 and 422 for options that mean nothing, 410 where a page or a revision is too old.
    """
    _check_list_options(call)
    limit, resumed = _limit(call), _continue(call)
    what = wanted(kind, call)
    store = cluster.store
    namespace = call.namespace if kind.resource.namespaced else ""
    revision, after = (store.revision, None) if resumed is None else resumed
    if call.query.get("resourceVersionMatch") == "Exact":
        revision = _revision_of(call.query["resourceVersion"])
    elif call.query.get("resourceVersion"):
        asked = _revision_of(call.query["resourceVersion"])
        if asked > store.revision:
            raise _too_large(asked, store.revision)
    try:
        if revision == store.revision:
            records: Iterable[tuple[tuple[str, str], Record]] = store.scan(kind.shelf, namespace, after=after)
        else:
            records = store.scan_at(revision, kind.shelf, namespace, after=after)
    except TooOldError as error:
        if resumed is None:
            raise expired(f"The resourceVersion for the provided list is too old: {error}") from error
        refusal = expired(_EXPIRED)
        raise refusal from error
    found, rest = _page(kind, what, records, limit)
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if rest:
        metadata["continue"] = _token(revision, found[-1][0])
        if what.is_everything:
            metadata["remainingItemCount"] = rest
    return found, metadata


def _too_large(asked: int, current: int) -> ApiError:
    return ApiError(
        504,
        "Timeout",
        f"Too large resource version: {asked}, current: {current}",
        {
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        {"Retry-After": "1"},
    )


def _page(
    kind: Kind, what: Wanted, records: Iterable[tuple[tuple[str, str], Record]], limit: int
) -> tuple[list[tuple[tuple[str, str], Record]], int]:
    """The records that fit on a page, and how many wait behind it (at least one, where selectors hide the count)."""
    found: list[tuple[tuple[str, str], Record]] = []
    rest = 0
    for place, record in records:
        if what.fields.name is not None and place[1] != what.fields.name:
            continue
        if not what.is_everything and not what.matches(from_storage(kind, record.object())):
            continue
        if limit and len(found) == limit:
            rest += 1
            if not what.is_everything:
                break
            continue
        found.append((place, record))
    return found, rest


def list_objects(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """GET of a collection."""
    records, metadata = selection(cluster, kind, call)
    form = form_of(call.accept)
    resource = kind.resource
    if form.name == "object":
        head = _encode({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})
        items = b",".join(_item(kind, record) for _, record in records)
        return Answer(text=b'%s,"items":[%s]}' % (head[:-1], items))
    objects = [from_storage(kind, record.object()) for _, record in records]
    if form.name == "metadata":
        return Answer(
            {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"meta.k8s.io/{form.version}",
                "metadata": metadata,
                "items": [metadata_only(obj, form) for obj in objects],
            }
        )
    return Answer(
        _table(cluster, kind, objects, form, check_include_object(call.query.get("includeObject")), metadata)
    )


def _item(kind: Kind, record: Record) -> bytes:
    """An object inside a list: items of built-in kinds do not repeat what they are."""
    text = text_of(kind, record)
    if kind.is_custom:
        return text
    resource = kind.resource
    head = b'{"kind":"%s","apiVersion":"%s",' % (resource.kind.encode(), resource.api_version.encode())
    if text.startswith(head):
        return b"{" + text[len(head) :]
    obj = msgspec.json.decode(text)
    return _encode({key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}})
