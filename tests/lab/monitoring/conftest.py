"""Objects that Stoker itself compiles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stoker.platform.load import load
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform

GUIDE = Path(__file__).resolve().parents[3] / "examples" / "guide.yaml"


@pytest.fixture
def stoker_objects() -> Callable[[], list[dict[str, Any]]]:
    """Every object of the guide's platform."""
    return lambda: [one.object for one in compile_platform(resolve(load(GUIDE)))]
