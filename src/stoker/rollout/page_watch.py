"""Looks at Prometheus, Alertmanager and the receivers while a KV cache is full, and afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stoker.catalog.engines import Metric
from stoker.rollout.alerting import AlertRule, is_page_of
from stoker.rollout.gate import Context
from stoker.rollout.monitoring import Alertmanager, CaughtPage, PageSource, Prometheus
from stoker.rollout.paging import Timeline
from stoker.sizing.resolved import ResolvedModel

__all__ = ["CROSSED", "PageWatch"]

CROSSED: Final = 0.9  # the guide's 90 %


@dataclass(slots=True)
class PageWatch:
    """Everything that a look needs.

    Attributes:
        began: seconds since the epoch; what came before is none of this gate's.
        sent: Alertmanager's counters when it began.
        keys: the incidents, as the receivers call them.
    """

    context: Context
    model: ResolvedModel
    rules: Sequence[AlertRule]
    source: Prometheus
    pages: PageSource | None
    manager: Alertmanager | None
    began: float
    sent: Mapping[str, int]
    seen: Timeline = field(default_factory=Timeline)
    keys: set[tuple[str, str]] = field(default_factory=set)

    @property
    def usage(self) -> str:
        name = self.model.release.metric(Metric.KV_CACHE_USAGE)
        return f'{name}{{namespace="{self.model.namespace}",model="{self.model.name}"}}'

    @property
    def now(self) -> float:
        return self.context.now().timestamp()

    # --- until a page ---

    def look(self) -> bool | None:
        """See what has happened since the last look; True when a page has come."""
        self.seen.watched_until = self.now
        if self.seen.crossed is None:
            self.seen.crossed = min(self.high(self.began), default=None)
        if self.seen.firing is None:
            self._look_at_alert()
        if self.seen.received is None:
            self._look_for_page()
        return True if self.seen.received is not None and self.seen.crossed is not None else None

    def high(self, since: float) -> list[float]:
        """Times of the samples above 90 %."""
        rows = self.source.samples(self.usage, self.now - since + 5.0)
        return [when for _, points in rows for when, value in points if when >= since and value > CROSSED]

    def states(self) -> set[str]:
        """Of the alerts of this model."""
        names = "|".join(sorted({rule.name for rule in self.rules}))
        return {
            labels.get("alertstate", "")
            for labels, _ in self.source.instant(f'ALERTS{{alertname=~"{names}"}}')
            if self._is_own(labels)
        }

    def fired_lately(self, seconds: float) -> bool:
        """Whether an alert of this model fired in the last so many seconds."""
        names = "|".join(sorted({rule.name for rule in self.rules}))
        rows = self.source.samples(f'ALERTS{{alertname=~"{names}",alertstate="firing"}}', seconds)
        return any(points for labels, points in rows if self._is_own(labels))

    def _is_own(self, labels: Mapping[str, str]) -> bool:
        own = {"namespace": self.model.namespace, "model": self.model.name}
        return all(labels.get(key, value) == value for key, value in own.items())

    def _look_at_alert(self) -> None:
        states = self.states()
        if states and self.seen.pending is None:
            self.seen.pending = self.now
            self.context.note("the alert is active", states=sorted(states))
        if "firing" in states:
            self.seen.firing = self.now
            self.context.note("the alert fires")

    def _look_for_page(self) -> None:
        if self.pages is not None:
            for one in self.pages.pages():
                if one.page.action == "firing" and one.at >= self.began and self._is_ours(one):
                    self.take(one)
        elif self.manager is not None and self.seen.firing is not None:
            more = [name for name, count in self.manager.sent().items() if count > self.sent.get(name, 0)]
            if more:
                self.seen.received, self.seen.receiver = self.now, more[0]
                self.seen.confirmed_by = "Alertmanager's counters"

    def _is_ours(self, one: CaughtPage) -> bool:
        return is_page_of(one.page, self.rules, self.model)

    def take(self, one: CaughtPage) -> None:
        """A page of this gate's incident."""
        if (one.page.kind, one.page.key) in self.keys:
            return
        self.keys.add((one.page.kind, one.page.key))
        self.context.note("a page was received", kind=one.page.kind, summary=one.page.summary, at=one.at)
        if self.seen.received is None:
            self.seen.received, self.seen.receiver = one.at, one.page.kind
            self.seen.confirmed_by = "the catcher"

    # --- and its end ---

    def open_pages(self) -> list[CaughtPage]:
        """The newest page of every incident of ours that has not been called off."""
        newest: dict[tuple[str, str], CaughtPage] = {}
        for one in self.pages.pages() if self.pages is not None else ():
            key = (one.page.kind, one.page.key)
            if one.page.action == "resolved":
                newest.pop(key, None)
            elif one.page.action == "firing" and self._is_ours(one):
                newest[key] = one
        return list(newest.values())

    def look_for_end(self) -> bool | None:
        """See whether everybody who got the page was told that it is over."""
        self.seen.watched_until = self.now
        if self.pages is not None:
            ends = {
                (one.page.kind, one.page.key): one.at
                for one in self.pages.pages()
                if one.page.action == "resolved" and one.at >= (self.seen.received or 0.0)
            }
            times = [ends[key] for key in self.keys if key in ends]
            self.seen.resolved = max(times) if len(times) == len(self.keys) else None
        elif self.manager is not None:
            more = any(count > self.sent.get(name, 0) for name, count in self.manager.sent().items())
            self.seen.resolved = self.now if more and not self._is_active() else None
        return True if self.seen.resolved is not None else None

    def _is_active(self) -> bool:
        names = {rule.name for rule in self.rules}
        alerts = self.manager.alerts() if self.manager is not None else []
        return any((one.get("labels") or {}).get("alertname") in names for one in alerts)

    def ask_alertmanager(self) -> None:
        """Whether it has the alert, for the reason of a failure."""
        if self.manager is not None:
            self.seen.known = self._is_active()
            self.context.note("Alertmanager", has_the_alert=self.seen.known, sent=self.manager.sent())
