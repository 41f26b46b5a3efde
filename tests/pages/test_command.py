"""`stoker catch` takes pages over the wire and tells them, on loopback only."""

import json
import subprocess

import httpx2
from tests.lab.running.conftest import STOKER, stoker


def test_pages_are_printed_as_they_come() -> None:
    command = [str(STOKER), "catch", "--listen", "127.0.0.1:0", "--for", "60", "--output", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["listening"]
        event = {
            "routing_key": "k",
            "event_action": "trigger",
            "dedup_key": "d",
            "payload": {"summary": "full"},
        }
        assert 202 == httpx2.post(f"{url}/v2/enqueue", json=event).status_code
        told = json.loads(process.stdout.readline())
        assert ["d"] == [one["key"] for one in httpx2.get(f"{url}/pages").json()["pages"]]
        process.terminate()

    assert ("pagerduty", "firing", "full") == (told["kind"], told["action"], told["summary"])
    assert 0 == process.returncode


def test_it_listens_on_this_machine_only() -> None:
    done = stoker("catch", "--listen", "0.0.0.0:9999", check=False)

    assert 2 == done.returncode
    assert "127.0.0.1:9999" in done.stderr
