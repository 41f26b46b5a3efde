"""Fixtures shared by every test."""

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# Tests of every package share the validation of tests/schemas: `from tests.schemas.validate import validate_object`.
sys.path.insert(0, str(REPOSITORY))
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of oracles beside the checkout; a test that needs it skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent: nothing to compare with")
    return SHARED
