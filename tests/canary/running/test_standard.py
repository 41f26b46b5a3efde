"""KServe's Standard mode: our HTTPRoute shares the requests, KServe makes the pods."""

import pytest
from tests.canary.running.conftest import Shop, within

pytestmark = pytest.mark.slow
MODE = "Standard"


def test_a_bad_canary_is_aborted_then_a_good_one_promoted(shop: Shop) -> None:
    assert within(120, lambda: len(shop.pods("v2")) == 1)
    before = set(shop.pods("stable"))
    shop.fault("slow", "--value", 8)

    said = shop.canary("--steps", "20,100", expect=1)

    assert "tpot: slower" in said
    assert (100, 0) == shop.weights()
    assert before == set(shop.pods("stable"))  # no share makes KServe start pods anew

    shop.fault("slow", "--off")
    shop.canary("--steps", "20,50,100", expect=0)

    assert (100, 0) == shop.weights()
    args = [
        shop.get("get", "deployment", name)["spec"]["template"]["spec"]["containers"][0]["args"]
        for name in ("llama-predictor", "llama-v2-predictor")
    ]
    assert args[0] == args[1]
    assert before.isdisjoint(shop.pods("stable"))
    archived = shop.get("get", "configmap", "-l", "stoker.dev/canary-archive=llama")["items"]
    assert 1 == len(archived)
