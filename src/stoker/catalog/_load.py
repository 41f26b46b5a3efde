"""Reads the YAML files packaged under ``stoker/catalog/data``."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

__all__ = ["read_data"]

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: same result, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


@cache
def read_data(name: str) -> Any:
    """Return the parsed file ``data/<name>``, read once per process. Callers must not change the returned value.

    Raises:
        FileNotFoundError: no such packaged file.
        yaml.YAMLError: the file is not YAML.
    """
    return yaml.load((files("stoker.catalog") / "data" / name).read_bytes(), Loader=_Loader)
