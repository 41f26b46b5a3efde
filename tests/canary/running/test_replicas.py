"""No Gateway API at all: a Service over both versions, shared by the numbers of pods."""

import shutil

import pytest
from tests.canary.running.conftest import Shop, within

pytestmark = pytest.mark.slow
MODE = "Deployment"
LAB = ("--no-crds", "--no-metrics")


def prepare(shop: Shop) -> None:
    """Leave out what such a cluster does not serve."""
    for folder in ("06-routing", "08-observability", "04-runtimes"):
        shutil.rmtree(shop.rendered / folder, ignore_errors=True)


def _selector(shop: Shop) -> dict[str, str]:
    found: dict[str, str] = shop.get("get", "service", "llama")["spec"]["selector"]
    return found


def test_a_share_that_cannot_be_is_refused_and_one_that_can_is_told(shop: Shop) -> None:
    assert within(120, lambda: len(shop.pods("v2")) == 1)
    said = shop.canary("--steps", "5,100", expect=4)
    assert "gets 33 %" in said
    shop.run("abort", "llama", expect=1)
    assert "stable" == _selector(shop)["stoker.dev/version"]

    said = shop.canary("--steps", "30,100", expect=0)

    assert "30 % (really 33 %)" in said
    assert "stable" == _selector(shop)["stoker.dev/version"]
    state = shop.state
    assert pytest.approx(100 / 3) == state["steps"][0]["reachable"]


def test_a_bad_one_is_taken_out_of_the_service(shop: Shop) -> None:
    shop.apply()
    assert within(120, lambda: len(shop.pods("stable")) == 2 and len(shop.pods("v2")) == 1)
    process = shop.start("--steps", "30,100", "--least", "10m", "--most", "30m")
    assert within(120, lambda: "stoker.dev/version" not in _selector(shop))
    shop.fault("errors", "--value", 1)

    said, _ = process.communicate(timeout=240)

    assert 1 == process.returncode, said
    assert "stable" == _selector(shop)["stoker.dev/version"]
