"""Deliveries as their services read them: who is to be woken, whether it is over, and what the service answers.

Sources: alertmanager 0.25 notify/{pagerduty,opsgenie,slack,webhook}; PagerDuty Events API v2 ("Send an event": 202 with
``dedup_key``), Opsgenie Alert API (202 with ``requestId``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

__all__ = ["Kind", "Page", "Reading", "page_of_json", "read_delivery", "read_mail"]

Kind = Literal["pagerduty", "opsgenie", "slack", "webhook", "email"]
_SAID: Final = {"trigger": "firing", "resolve": "resolved", "acknowledge": "acknowledge"}


@dataclass(frozen=True, slots=True)
class Page:
    """One delivery.

    Attributes:
        kind: which service it was for.
        action: ``firing`` or ``resolved``; ``update`` for changes of an Opsgenie alert, ``acknowledge`` for PagerDuty's.
        key: what the service takes for the same incident: ``dedup_key``, alias, group key.
        summary: the text that a person sees first.
        body: the request, credentials taken out.
    """

    kind: Kind
    action: str
    key: str
    summary: str
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Everything that it says, to be searched for an alert's name."""
        return json.dumps(self.body, ensure_ascii=False)


def page_of_json(told: Mapping[str, Any]) -> Page:
    """A page as a catcher tells it.

    Raises:
        KeyError: a part is missing.
    """
    return Page(told["kind"], told["action"], told["key"], told["summary"], told["body"])


# Status and body of the answer, and the page where it was one.
Reading = tuple[int, dict[str, Any] | bytes, Page | None]


def read_delivery(method: str, target: str, raw: bytes, number: int = 0) -> Reading:
    """What the service of a path makes of a request; ``number`` goes into the answer's id."""
    path = urlsplit(target).path
    try:
        body = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return 400, {"status": "invalid event", "message": "no JSON"}, None
    if method not in {"POST", "PUT"} or not isinstance(body, dict):
        return 405, {"message": "only deliveries are taken here"}, None
    if path == "/v2/enqueue":
        return _pagerduty(body)
    if path.startswith("/v2/alerts"):
        return _opsgenie(path, body, number)
    if path.startswith("/slack"):
        first = _first(body.get("attachments"))
        # Alertmanager paints what is over in "good"; a title of one's own need not say it.
        is_over = first.get("color") == "good" or "resolved" in _text(first, "title").lower()
        action = "resolved" if is_over else "firing"
        return 200, b"ok", Page("slack", action, _text(body, "channel"), _text(first, "title"), body)
    annotations = body.get("commonAnnotations")
    summary = _text(annotations if isinstance(annotations, dict) else {}, "summary")
    labels = _first(body.get("alerts")).get("labels")
    summary = summary or _text(labels if isinstance(labels, dict) else {}, "alertname")
    return 200, {}, Page("webhook", _text(body, "status"), _text(body, "groupKey"), summary, body)


def _pagerduty(body: dict[str, Any]) -> Reading:
    action, key = body.get("event_action"), _text(body, "dedup_key")
    if not body.get("routing_key") or action not in _SAID:
        wrong = ["routing_key or event_action"]
        return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": wrong}, None
    payload = body.get("payload")
    summary = _text(payload if isinstance(payload, dict) else {}, "summary")
    page = Page("pagerduty", _SAID[action], key, summary, {**body, "routing_key": "<secret>"})
    return 202, {"status": "success", "message": "Event processed", "dedup_key": key}, page


def _opsgenie(path: str, body: dict[str, Any], number: int) -> Reading:
    parts = [unquote(part) for part in path.split("/") if part]
    alias = _text(body, "alias") or (parts[2] if len(parts) > 2 else "")
    action = "firing"
    if len(parts) > 3:
        action = "resolved" if parts[3] == "close" else "update"
    answer = {"result": "Request will be processed", "took": 0.01, "requestId": f"lab-{number}"}
    return 202, answer, Page("opsgenie", action, alias, _text(body, "message"), body)


def read_mail(sender: str, receivers: list[str], message: str) -> Page:
    """A message of Alertmanager's by SMTP."""
    rows = message.split("\r\n")
    subject = next((row[8:].strip() for row in rows if row.lower().startswith("subject:")), "")
    action = "resolved" if "RESOLVED" in subject.upper() else "firing"
    return Page("email", action, ",".join(receivers), subject, {"from": sender, "message": message})


def _first(items: Any) -> dict[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _text(body: Mapping[str, Any], key: str) -> str:
    found = body.get(key)
    return found if isinstance(found, str) else ""
