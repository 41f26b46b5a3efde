"""Lets the tests of this folder share their documents as `tests.platform.documents`, the name that mypy knows them by."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
