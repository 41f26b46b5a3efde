"""Who owns which fields of an object that is being written, and the warnings that go with the answer."""

from typing import Any

from stoker.lab.api.cluster import Cluster
from stoker.lab.api.served import Kind
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.apply import track_update
from stoker.lab.merge.facts import CUSTOM_MAIN, CUSTOM_STATUS

__all__ = ["own_fields", "reset_of", "set_owners", "warning", "warning_headers"]


def own_fields(  # noqa: PLR0917  # a write: by whom, of what, into what
    cluster: Cluster, kind: Kind, manager: str, old: Object | None, new: Object, subresource: str = ""
) -> None:
    """Write into ``new`` who owns which of its fields, now that ``manager`` has made it of ``old``."""
    managed = track_update(
        old, new, kind.node, manager, kind.resource.api_version, now=cluster.now(), subresource=subresource,
        reset=reset_of(kind, subresource),
    )  # fmt: skip
    set_owners(new, managed)


def reset_of(kind: Kind, subresource: str) -> Any:
    """Fields that a path cannot change; built-in kinds have theirs in a table of their own."""
    if not kind.is_custom or not kind.has_status:
        return None
    return CUSTOM_STATUS if subresource == "status" else CUSTOM_MAIN


def set_owners(obj: Object, managed: list[dict[str, Any]]) -> None:
    """Put managed fields into an object, or take them out where there are none."""
    if managed:
        obj["metadata"]["managedFields"] = managed
    else:
        obj["metadata"].pop("managedFields", None)


def warning_headers(texts: list[str]) -> list[tuple[str, str]]:
    """Headers of an answer, each text once."""
    return [("Warning", warning(text)) for text in dict.fromkeys(texts)]


def warning(text: str) -> str:
    """A ``Warning`` header (RFC 7234, code 299), as net.NewWarningHeader of apimachinery writes it."""
    clean = "".join(letter for letter in text if letter.isprintable())
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'
