"""A small evidence file, written by hand, a browser, and a Prometheus with a history."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.report.rollout.history import history

from stoker.report.rollout.evidence import Evidence, read_evidence

SMALL = Path(__file__).with_name("small.json")


@pytest.fixture(scope="session")
def small() -> Evidence:
    return read_evidence(SMALL)


@pytest.fixture(scope="module")  # its loop runs for as long: no `asyncio.run` of other modules meanwhile
def browser() -> Iterator[Browser]:
    """Debian's Chromium: no browser is downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus is not installed")
    folder: Path = tmp_path_factory.mktemp("history")
    (folder / "history.txt").write_text(history(), encoding="utf-8")
    (folder / "prometheus.yml").write_text("{}", encoding="utf-8")
    blocks = [
        "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(folder / "history.txt"),
        str(folder / "data"),
    ]
    subprocess.run(blocks, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                if httpx2.get(f"{url}/-/ready").is_success:
                    break
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
