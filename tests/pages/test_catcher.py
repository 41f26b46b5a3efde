"""The catcher answers as the services do."""

import asyncio
import json

import httpx2
import pytest

from stoker.pages import Catcher

TRIGGER = {
    "routing_key": "key",
    "event_action": "trigger",
    "dedup_key": "k",
    "payload": {"summary": "s", "source": "x", "severity": "critical"},
}


def catcher() -> Catcher:
    return Catcher(lambda: 7.0, lambda: 3.0)


def test_a_pagerduty_event_is_taken_and_its_key_forgotten() -> None:
    found = catcher()
    status, answer = found.receive("POST", "/v2/enqueue", json.dumps(TRIGGER).encode())
    assert (202, {"status": "success", "message": "Event processed", "dedup_key": "k"}) == (status, answer)
    (one,) = found.notifications
    assert ("pagerduty", "firing", "k", "s", 7.0, 3.0) == (
        one.kind,
        one.action,
        one.key,
        one.summary,
        one.time,
        one.wall,
    )
    assert "<secret>" == one.body["routing_key"]


@pytest.mark.parametrize("change", [{"routing_key": ""}, {"event_action": "shout"}])
def test_an_event_that_pagerduty_would_refuse_is_refused(change: dict[str, str]) -> None:
    found = catcher()
    status, _ = found.receive("POST", "/v2/enqueue", json.dumps({**TRIGGER, **change}).encode())
    assert (400, []) == (status, found.notifications)


def test_an_opsgenie_alert_is_opened_and_closed_under_its_alias() -> None:
    found = catcher()
    assert 202 == found.receive("POST", "/v2/alerts", b'{"alias": "a/b", "message": "m"}')[0]
    assert 202 == found.receive("POST", "/v2/alerts/a%2Fb/close?identifierType=alias", b'{"source": "x"}')[0]
    assert [("firing", "a/b"), ("resolved", "a/b")] == [(one.action, one.key) for one in found.notifications]


def test_what_is_no_delivery_is_refused() -> None:
    found = catcher()
    assert 400 == found.receive("POST", "/webhook", b"{")[0]
    assert 405 == found.receive("GET", "/webhook", b"")[0]
    found.refuse = 500
    assert 500 == found.receive("POST", "/webhook", b"{}")[0]
    assert [] == found.notifications


def test_slack_says_by_its_colour_what_is_over() -> None:
    found = catcher()
    for colour in ("danger", "good"):
        attachment = {"title": "requests wait", "color": colour}
        body = json.dumps({"channel": "#ops", "attachments": [attachment]}).encode()
        assert (200, b"ok") == found.receive("POST", "/slack/T0/B0/x", body)
    assert ["firing", "resolved"] == [one.action for one in found.notifications]


def test_what_came_is_told_from_a_number_on() -> None:
    found = catcher()
    for key in ("a", "b"):
        found.receive("POST", "/v2/enqueue", json.dumps({**TRIGGER, "dedup_key": key}).encode())

    status, told = found.receive("GET", "/pages?from=1", b"")

    assert isinstance(told, dict)
    assert (200, 7.0, 2, ["b"]) == (status, told["now"], told["next"], [one["key"] for one in told["pages"]])
    assert "routing_key" not in json.dumps(told).replace('"routing_key": "<secret>"', "")
    assert 2 == len(found.receive("GET", "/pages?from=nonsense", b"")[1]["pages"])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"7", b'{"alerts": 7}', b'{"alerts": [7], "commonAnnotations": []}', b'{"attachments": {}}',
        b'{"payload": 7, "routing_key": "k", "event_action": "trigger"}', b"[" * 100_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v2/enqueue", "/v2/alerts", "/slack", "/webhook"])
def test_odd_bodies_are_answered(path: str, body: bytes) -> None:
    assert catcher().receive("POST", path, body)[0] in {200, 202, 400, 405}


async def over_the_wire() -> None:
    found = catcher()
    await found.start("127.0.0.1")
    try:
        async with httpx2.AsyncClient() as client:
            waiting = asyncio.ensure_future(found.wait_for(lambda one: one.action == "resolved", 5))
            for action in ("trigger", "resolve"):
                response = await client.post(
                    found.overrides()["pagerduty"], json={**TRIGGER, "event_action": action}
                )
                assert 202 == response.status_code
            done = await waiting
            assert done is not None
            assert "k" == done.key
        assert await found.wait_for(lambda one: one.kind == "email", 0.05) is None
        reader, writer = await asyncio.open_connection(found.host, found.port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert b"" == await reader.read()
        writer.close()
    finally:
        await found.stop()


def test_deliveries_arrive_over_http_and_huge_ones_are_cut_off() -> None:
    asyncio.run(over_the_wire())
