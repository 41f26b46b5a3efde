"""A small evidence file, written by hand, and a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from stoker.report.rollout.evidence import Evidence, read_evidence

SMALL = Path(__file__).with_name("small.json")


@pytest.fixture(scope="session")
def small() -> Evidence:
    return read_evidence(SMALL)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium: no browser is downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()
