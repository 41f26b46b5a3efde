"""The page as a file: complete, small, and safe whatever the names in it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.report.rollout.conftest import SMALL
from tests.report.rollout.rich import rich_evidence
from tests.report.rollout.test_roi import TWIN

from stoker.report.rollout.as_html import as_html, render_report
from stoker.report.rollout.as_json import as_json
from stoker.report.rollout.evidence import Evidence, parse_evidence
from stoker.report.rollout.report import build_report
from stoker.report.rollout.simulated import parse_twin

GOLDEN = Path(__file__).with_name("golden.json")
HOSTILE = "</script></style><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\"' onload='x' \u0007\u001b[2J"
_VOID = frozenset(("meta", "br", "link", "img", "input", "hr"))


class Page(HTMLParser):
    """Tags in their nesting, ids, links and texts; unclosed and stray tags are told."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def poisoned(value: Any) -> Any:
    """Every text of a document replaced, but for times and the words that have a meaning."""
    if isinstance(value, dict):
        return {
            key: each
            if key in {"verdict", "measure", "phase", "unit", "severity"} or _is_time(each)
            else poisoned(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return HOSTILE if isinstance(value, str) and not _is_time(value) else value


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value) is not None


def test_the_json_is_the_golden_one(small: Evidence) -> None:
    """A contract for scripts; write it anew with `python -m tests.report.rollout.test_page`."""
    found = json.loads(
        json.dumps(as_json(build_report(small, parse_twin(json.dumps(TWIN)))), allow_nan=False)
    )

    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == found


@pytest.mark.parametrize(
    "text", [SMALL.read_text(encoding="utf-8"), json.dumps(rich_evidence())], ids=["small", "rich"]
)
def test_the_page_is_well_formed_and_its_links_lead_somewhere(text: str) -> None:
    page = Page(render_report(parse_evidence(text)))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]

    assert ([], []) == (page.wrong, page.open)
    assert len(set(ids)) == len(ids)
    targets = {str(attrs["href"]) for tag, attrs in page.tags if tag in {"a", "use"} and "href" in attrs}
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(ids)


def test_hostile_names_stay_text() -> None:
    document = poisoned(json.loads(SMALL.read_text(encoding="utf-8")))
    page = Page(render_report(parse_evidence(json.dumps(document))))

    assert [] == [tag for tag, _ in page.tags if tag in {"script", "img", "iframe", "link", "object", "base"}]
    assert [] == [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    targets = {str(attrs[name]) for _, attrs in page.tags for name in ("src", "href") if name in attrs}
    assert all(re.fullmatch("#[A-Za-z0-9-]+", target) for target in targets)
    assert "alert(1)" in page.text
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u007f-\u009f]", page.text)


def test_nothing_is_loaded_and_nothing_runs(small: Evidence) -> None:
    text = render_report(small)

    assert "default-src 'none'" in text
    assert not re.search(r"<script|<link|src=|url\(|@import", text)


def test_the_same_evidence_gives_the_same_bytes() -> None:
    one, two = (render_report(parse_evidence(json.dumps(rich_evidence(5)))) for _ in range(2))

    assert one == two


def test_a_long_rollout_stays_a_small_file() -> None:
    """Ten times the samples and observations of the demo: the page thins them out and names what it left."""
    document = rich_evidence()
    for series in document["series"]:
        points = series["points"]
        series["points"] = [[at + share / 10, value] for at, value in points for share in range(10)]
    for gate in document["gates"]:
        gate["evidence"] = [{"at": gate["started"], "what": "seen", "data": {"body": "x" * 3000}}] * 200
    text = render_report(parse_evidence(json.dumps(document)))

    assert len(text.encode()) < 500_000
    assert "more in evidence.json" in text


def test_no_evidence_at_all_is_a_page_of_no_data() -> None:
    page = Page(render_report(Evidence(())))

    assert "No gate was measured" in page.text
    assert page.text.count("no data") > 30
    assert " 0 %" not in page.text


def test_what_did_not_pass_is_open_with_its_reason(small: Evidence) -> None:
    page = render_report(small)
    opened = re.findall(r'<details class="gate" id="([^"]+)" open>', page)

    assert ["gate-week-3-scale-up", "gate-week-4-page"] == opened
    assert "3 of 4 replicas after 120 s" in page
    assert "could not be removed" in page


def test_a_simulated_value_says_so_where_it_stands(small: Evidence) -> None:
    text = as_html(build_report(small, parse_twin(json.dumps({**TWIN, "baseline": TWIN}))))

    assert '<span class="sim">simulated</span> 3.4 s' in text
    assert '<span class="sim">simulated</span> 26 %' not in text, "it was measured"


if __name__ == "__main__":
    from stoker.report.rollout.evidence import read_evidence

    document = as_json(build_report(read_evidence(SMALL), parse_twin(json.dumps(TWIN))))
    GOLDEN.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
