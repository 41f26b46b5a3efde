"""What the platform's controllers hear of requests."""

from stoker.lab.signals import LateSignals


def test_what_is_no_longer_named_has_nothing_open() -> None:
    signals = LateSignals()
    signals.set_open({"rule": 3, "rule/revision": 3})

    signals.set_open({"rule": 0})

    assert [0.0, 0.0] == [signals.requests(name) for name in ("rule", "rule/revision")]
