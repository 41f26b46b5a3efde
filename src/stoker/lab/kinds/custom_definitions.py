"""CustomResourceDefinition (apiextensions-apiserver pkg/apis/apiextensions/{v1/defaults,validation/validation}.go).

The server's internal form lifts what all versions share (schema, columns, subresources) out of them; causes name it there:
``spec.validation.openAPIV3Schema``.
"""

from typing import Any
from urllib.parse import urlsplit

from stoker.lab.kinds.admission_policies_webhooks import service_causes, url_causes
from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.custom_definitions_schema import schema_causes
from stoker.lab.kinds.metadata import immutable, is_dns1035_label, is_dns_subdomain
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["CUSTOM_DEFINITION", "definition_name_causes"]

_SCOPES = ("Cluster", "Namespaced")
_STRATEGIES = ("None", "Webhook")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_APPROVED = "api-approved.kubernetes.io"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"
_INTERNAL_VERSION = (
    "name", "served", "storage", "deprecated", "deprecationWarning", "schema", "subresources",
    "additionalPrinterColumns", "selectableFields",
)  # fmt: skip


# --- defaults and preparation -------------------------------------------------------------------------------------


def _default(definition: Object) -> None:
    spec = definition.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = conversion.get("webhook", {}).get("clientConfig", {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    _note_stored(definition)


def _note_stored(definition: Object) -> None:
    """The version of storage is one of the stored versions."""
    status = definition.setdefault("status", {})
    storage = next(
        (one["name"] for one in definition["spec"].get("versions") or () if one.get("storage")), None
    )
    stored = status.get("storedVersions") or []
    if storage is not None and storage not in stored:
        status["storedVersions"] = [*stored, storage]


def _prepare_create(definition: Object) -> None:
    definition["status"] = {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": None,
    }
    _note_stored(definition)


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = dict(old.get("status", {}))
    _note_stored(new)


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old["spec"]


# --- validation ---------------------------------------------------------------------------------------------------


def definition_name_causes(definition: Object) -> tuple[str, ...]:
    """Messages about the name, which plural and group decide."""
    name, spec = definition["metadata"].get("name", ""), definition.get("spec", {})
    found = is_dns_subdomain(name)
    wanted = f"{spec.get('names', {}).get('plural', '')}.{spec.get('group', '')}"
    return found if name == wanted else (*found, 'must be spec.names.plural+"."+spec.group')


def _validate(definition: Object) -> list[Cause]:
    spec = definition.get("spec", {})
    versions = spec.get("versions") or []
    causes = _group_causes(spec.get("group", ""))
    scope = spec.get("scope", "")
    if not scope:
        causes.append(required("spec.scope"))
    elif scope not in _SCOPES:
        causes.append(unsupported("spec.scope", scope, _SCOPES))
    causes += [
        required(f"spec.versions[{index}].schema.openAPIV3Schema")
        for index, version in enumerate(versions)
        if "openAPIV3Schema" not in version.get("schema", {})
    ]
    causes += _versions_causes(versions)
    causes += [required(f"spec.names.{name}") for name in _REQUIRED_NAMES if not spec["names"].get(name)]
    causes += _names_causes(spec["names"], "spec.names")
    causes += _shared_causes(versions)
    causes += _conversion_causes(spec.get("conversion", {}), "spec.conversion")
    causes += _names_causes(definition.get("status", {}).get("acceptedNames", {}), "status.acceptedNames")
    causes += _stored_causes(definition)
    return causes + _approval_causes(definition)


_REQUIRED_NAMES = ("plural", "singular", "kind", "listKind")


def _group_causes(group: str) -> list[Cause]:
    wrong = is_dns_subdomain(group)
    if not group:
        return [required("spec.group")]
    if wrong:
        return [invalid_value("spec.group", group, ",".join(wrong))]
    text = "should be a domain with at least one dot"
    return [] if "." in group else [invalid_value("spec.group", group, text)]


def _is_shared(versions: list[Object], field: str) -> bool:
    return all(version.get(field) == versions[0].get(field) for version in versions)


def _versions_causes(versions: list[Object]) -> list[Cause]:
    causes: list[Cause] = []
    own = {field for field in _PER_VERSION if versions and not _is_shared(versions, field)}
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name", "")
        wrong = is_dns1035_label(name)
        if wrong:
            causes.append(invalid_value(f"{path}.name", name, ",".join(wrong)))
        causes += _deprecation_causes(version, path)
        if "schema" in own:
            has_status = "status" in version.get("subresources", {})
            causes += _schema_causes(version, f"{path}.schema", has_status=has_status)
        if "subresources" in own:
            causes += _subresource_causes(version.get("subresources", {}), f"{path}.subresources")
        if "additionalPrinterColumns" in own:
            causes += _columns_causes(version, path)
    names = [version.get("name", "") for version in versions]
    if len(set(names)) != len(names):
        causes.append(_versions_cause(versions, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append(_versions_cause(versions, "must have exactly one version marked as storage version"))
    return causes


_PER_VERSION = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


def _versions_cause(versions: list[Object], text: str) -> Cause:
    """A cause that prints the versions as the internal structs they are."""
    shared = {field for field in _PER_VERSION if versions and _is_shared(versions, field)}
    printed = [
        {
            field[0].upper() + field[1:]: None if field in shared else version.get(field, _zero(field))
            for field in _INTERNAL_VERSION
        }
        for version in versions
    ]
    return invalid_text("spec.versions", go_text(printed or None), text)


def _zero(field: str) -> Any:
    if field in {"served", "storage", "deprecated"}:
        return False
    return "" if field == "name" else None


def _shared_causes(versions: list[Object]) -> list[Cause]:
    """What the versions have in common, where the internal form keeps it."""
    causes: list[Cause] = []
    if not versions:
        return causes
    first = versions[0]
    if _is_shared(versions, "schema"):
        has_status = any("status" in version.get("subresources", {}) for version in versions)
        causes += _schema_causes(first, "spec.validation", has_status=has_status)
    if _is_shared(versions, "subresources"):
        causes += _subresource_causes(first.get("subresources", {}), "spec.subresources")
    if _is_shared(versions, "additionalPrinterColumns"):
        causes += _columns_causes(first, "spec")
    return causes


def _schema_causes(version: Object, path: str, *, has_status: bool) -> list[Cause]:
    schema = version.get("schema", {}).get("openAPIV3Schema")
    return [] if schema is None else schema_causes(schema, f"{path}.openAPIV3Schema", has_status=has_status)


def _deprecation_causes(version: Object, path: str) -> list[Cause]:
    text = version.get("deprecationWarning")
    if text is None:
        return []
    where = f"{path}.deprecationWarning"
    if not version.get("deprecated"):
        return [invalid_value(where, text, "can only be set for deprecated versions")]
    problems = ["must be <= 256 characters long"] if len(text.encode()) > 256 else []
    problems += [] if text else ["must not be an empty string"]
    wrong = next((index for index, letter in enumerate(text) if not letter.isprintable()), None)
    if wrong is not None:
        found = f"non-printable character found at index {wrong}"
        problems.append(f"must only contain printable UTF-8 characters; {found}")
    return [invalid_value(where, text, problem) for problem in problems]


def _names_causes(names: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field, "")
        is_kind = field.lower().endswith("kind")
        wrong = is_dns1035_label(value.lower() if is_kind else value) if value else ()
        if wrong:
            lead = "may have mixed case, but should otherwise match: " if is_kind else ""
            causes.append(invalid_value(f"{path}.{field}", value, lead + ",".join(wrong)))
    causes += _label_list_causes(names, "shortNames", path)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        text = "kind and listKind may not be the same"
        causes.append(invalid_value(f"{path}.listKind", names["listKind"], text))
    return causes + _label_list_causes(names, "categories", path)


def _label_list_causes(names: Object, field: str, path: str) -> list[Cause]:
    return [
        invalid_value(f"{path}.{field}[{index}]", value, ",".join(is_dns1035_label(value)))
        for index, value in enumerate(names.get(field, ()))
        if is_dns1035_label(value)
    ]


def _path_problem(value: str) -> str:
    return "" if value.startswith(".") else "must be a simple json path starting with ."


def _columns_causes(version: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    listed = f"must be one of {','.join(_COLUMN_TYPES)}"
    for index, column in enumerate(version.get("additionalPrinterColumns", ())):
        where = f"{path}.additionalPrinterColumns[{index}]"
        kind, shape, target = (column.get(name, "") for name in ("type", "format", "jsonPath"))
        if not column.get("name"):
            causes.append(required(f"{where}.name"))
        if not kind:
            causes.append(required(f"{where}.type", listed))
        elif kind not in _COLUMN_TYPES:
            causes.append(invalid_value(f"{where}.type", kind, listed))
        if shape and shape not in _COLUMN_FORMATS:
            text = f"must be one of {','.join(_COLUMN_FORMATS)}"
            causes.append(invalid_value(f"{where}.format", shape, text))
        if not target:
            causes.append(required(f"{where}.JSONPath"))
        elif _path_problem(target):
            causes.append(invalid_value(f"{where}.JSONPath", target, _path_problem(target)))
    return causes


def _subresource_causes(subresources: Object, path: str) -> list[Cause]:
    scale, causes = subresources.get("scale"), []
    if scale is None:
        return []
    for name, roots, shown in (
        ("specReplicasPath", (".spec.",), ".spec"),
        ("statusReplicasPath", (".status.",), ".status"),
        ("labelSelectorPath", (".spec.", ".status."), "either .spec or .status"),
    ):
        value, where = scale.get(name, ""), f"{path}.scale.{name}"
        if not value:
            causes += [required(where)] if name != "labelSelectorPath" else []
        elif _path_problem(value):
            causes.append(invalid_value(where, value, _path_problem(value)))
        elif not value.startswith(roots):
            causes.append(invalid_value(where, value, f"should be a json path under {shown}"))
    return causes


def _conversion_causes(conversion: Object, path: str) -> list[Cause]:
    strategy = conversion.get("strategy", "")
    webhook = conversion.get("webhook", {})
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions", [])
    causes: list[Cause] = []
    if not strategy:
        causes.append(required(f"{path}.strategy"))
    elif strategy not in _STRATEGIES:
        causes.append(unsupported(f"{path}.strategy", strategy, _STRATEGIES))
    where = f"{path}.webhookClientConfig"
    if strategy != "Webhook":
        text = "should not be set when strategy is not set to Webhook"
        causes += [forbidden_field(where, text)] if client is not None else []
        return causes + ([forbidden_field(f"{path}.conversionReviewVersions", text)] if versions else [])
    if client is None:
        causes.append(required(where, "required when strategy is set to Webhook"))
    elif ("url" in client) == ("service" in client):
        causes.append(required(where, "exactly one of url or service is required"))
    elif "url" in client:
        causes += url_causes(client["url"], f"{where}.url")
    else:
        causes += service_causes(client["service"], f"{where}.service")
    return causes + _review_causes(versions, f"{path}.conversionReviewVersions")


def _review_causes(versions: list[str], path: str) -> list[Cause]:
    if not versions:
        return [required(path)]
    causes: list[Cause] = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            causes.append(invalid_value(f"{path}[{index}]", version, "duplicate version"))
        else:
            causes += each(f"{path}[{index}]", version, is_dns1035_label)
    if not set(versions) & {"v1", "v1beta1"}:
        causes.append(invalid_value(path, versions, "must include at least one of v1, v1beta1"))
    return causes


def _stored_causes(definition: Object) -> list[Cause]:
    path, stored = "status.storedVersions", definition.get("status", {}).get("storedVersions") or []
    if not stored:
        return [invalid_value(path, None, "must have at least one stored version")]
    versions = definition["spec"].get("versions") or ()
    causes = [
        invalid_value(path, stored, f"must have the storage version {one['name']}")
        for one in versions
        if one.get("storage") and one["name"] not in stored
    ]
    known = {one.get("name") for one in versions}
    for index, version in enumerate(stored):
        if version not in known:
            text = (
                f"missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions"
                f" until a storage migration ensures no data remains persisted in {version} and removes {version} from"
                " status.storedVersions"
            )
            causes.append(invalid_value(f"{path}[{index}]", version, text))
    return causes


def _approval_causes(definition: Object) -> list[Cause]:
    """Groups of the community carry the address of their review."""
    group = definition["spec"].get("group", "")
    if not f".{group}".endswith((".k8s.io", ".kubernetes.io")):
        return []
    path = f"metadata.annotations[{_APPROVED}]"
    found = definition["metadata"].get("annotations", {}).get(_APPROVED, "")
    needs = f'protected groups must have approval annotation "{_APPROVED}"'
    if not found:
        return [required(path, f"{needs}, {_SEE}")]
    url = urlsplit(found)
    if found.startswith("unapproved") or (url.scheme and url.netloc):
        return []
    text = f'{needs} with either a URL or a reason starting with "unapproved", {_SEE}'
    return [invalid_value(path, found, text)]


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new["spec"], old["spec"]
    causes: list[Cause] = []
    conditions = old.get("status", {}).get("conditions") or ()
    if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        causes += immutable("spec.scope", spec.get("scope"), before.get("scope"))
        causes += immutable("spec.names.kind", spec["names"].get("kind"), before["names"].get("kind"))
    causes += immutable("spec.group", spec.get("group"), before.get("group"))
    return causes + immutable("spec.names.plural", spec["names"].get("plural"), before["names"].get("plural"))


CUSTOM_DEFINITION = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    has_generation=True,
    allows_unconditional_update=False,
)
