"""Fixtures shared by every test."""

import gc
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine and at every run: a machine's load decides nothing.
settings.register_profile(
    "stoker", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("stoker")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of whatever a shell starts in the background: commands under test would inherit it, and never be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


def pytest_collection_finish() -> None:
    """Ten thousand collected tests are there to the end: a garbage collector that looks at them takes most of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)
