"""Paths of fields in an object: tuples of keys and indexes, printed as people write them and as JSON pointers."""

import re
from typing import Any, Final

__all__ = ["Path", "dig", "pointer", "show"]

Path = tuple[str | int, ...]

_PLAIN: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")


def show(path: Path) -> str:
    """``spec.containers[0].resources.limits["nvidia.com/gpu"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.match(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def pointer(path: Path) -> str:
    """RFC 6901: ``/spec/containers/0/resources/limits/nvidia.com~1gpu``."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def dig(value: Any, *path: str | int) -> Any:
    """What stands at ``path`` below ``value``, None where the path leads nowhere."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value
