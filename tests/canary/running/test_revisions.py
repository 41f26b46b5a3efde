"""KServe's Knative mode: `canaryTrafficPercent` shares between revisions."""

from typing import Any

import pytest
from tests.canary.running.conftest import Shop, within

pytestmark = pytest.mark.slow
MODE = "Knative"


def _traffic(shop: Shop) -> dict[str, int]:
    """Percent by the version of the revision."""
    status: dict[str, Any] = shop.get("get", "inferenceservice", "llama")["status"]["components"]["predictor"]
    found: dict[str, int] = {}
    for one in status["traffic"]:
        labels = shop.get("get", "revisions.serving.knative.dev", one["revisionName"])["metadata"]["labels"]
        version = labels["stoker.dev/version"]
        found[version] = found.get(version, 0) + int(one.get("percent") or 0)
    return found


def test_a_bad_canary_is_aborted_and_the_stable_revision_has_everything_and_then_a_good_one(
    shop: Shop,
) -> None:
    process = shop.start("--steps", "20,100", "--least", "100m", "--most", "200m")
    assert within(120, lambda: _traffic(shop).get("v2") == 20 and len(shop.pods("v2")) == 2)
    shop.fault("errors", "--value", 1)

    said, _ = process.communicate(timeout=240)

    assert 1 == process.returncode, said
    assert 100 == _traffic(shop)["stable"]
    predictor = shop.get("get", "inferenceservice", "llama")["spec"]["predictor"]
    assert "canaryTrafficPercent" not in predictor
    assert "--enable-prefix-caching" not in predictor["model"]["args"]

    assert within(120, lambda: len(shop.pods("stable")) == 2)
    shop.canary("--steps", "20,50,100", expect=0)

    assert {"v2": 100} == _traffic(shop)
    predictor = shop.get("get", "inferenceservice", "llama")["spec"]["predictor"]
    assert "--enable-prefix-caching" in predictor["model"]["args"]
