"""Plain Deployments behind an HTTPRoute: good, slow, failing and wrong canaries; kills, orders, and two at once."""

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import yaml
from tests.canary.running.conftest import Shop, finish, kill, within
from tests.lab.running.conftest import kubectl_of, stoker

pytestmark = pytest.mark.slow
MODE = "Deployment"


@pytest.fixture(autouse=True)
def clean(shop: Shop) -> Iterator[None]:
    """Every test finds the cluster as the platform file says, and nothing broken."""
    shop.apply()
    assert within(120, lambda: len(shop.pods("stable")) == 2 and len(shop.pods("v2")) == 1)
    yield
    kubectl_of(shop.folder)("delete", "configmap", "-n", "prod", "-l", "stoker.dev/canary=llama")
    for kind in ("slow", "errors", "garble"):
        shop.fault(kind, "--off")


def _args(shop: Shop, name: str) -> list[str]:
    found: list[str] = shop.get("get", "deployment", name)["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    return found


def test_a_good_canary_is_promoted_and_the_stable_version_is_then_what_it_was(shop: Shop) -> None:
    assert "--enable-prefix-caching" not in _args(shop, "llama")

    said = shop.canary("--steps", "20,50,100", expect=0)

    assert "promoted" in said
    assert _args(shop, "llama") == _args(shop, "llama-v2")
    assert (100, 0) == shop.weights()
    state = shop.state
    assert [20, 50] == [step["percent"] for step in state["steps"]]
    assert "lab at 30 times the wall's speed" == state["measured_on"]
    assert {"within the margin"} == {said for step in state["steps"] for said in step["verdicts"].values()}
    assert all(step["who"] and step["raw"][0]["canary"]["ttft"] > 0 for step in state["steps"])


def test_a_cluster_that_is_not_as_the_file_says_is_left_alone(shop: Shop, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    text = shop.platform.read_text(encoding="utf-8").replace("contextLength: 4096", "contextLength: 2048")
    other.write_text(text, encoding="utf-8")

    said = shop.run("start", "llama", "-f", other, expect=4)

    assert "spec.template.spec.containers[0].args" in said
    assert (95, 5) == shop.weights()


def test_fields_that_others_own_are_left_to_them(shop: Shop) -> None:
    live = shop.get("get", "deployment", "llama")
    live["spec"]["template"]["spec"]["containers"][0]["args"].append("--max-num-seqs=17")
    path = shop.folder / "changed.json"
    path.write_text(json.dumps(live), encoding="utf-8")
    shop.get("replace", "-f", path)

    assert "kubectl-replace" in shop.canary(expect=4)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [("slow", 8, "tpot: slower"), ("errors", 0.6, "errors: only the canary failed")],
)
def test_a_bad_canary_is_aborted_and_everything_goes_to_the_stable_version(
    shop: Shop, kind: str, value: float, words: str
) -> None:
    shop.fault(kind, "--value", value)

    said = shop.canary("--steps", "20,50,100", expect=1)

    assert words in said
    assert (100, 0) == shop.weights()
    assert "aborted" == shop.state["phase"]
    assert [20] == [step["percent"] for step in shop.state["steps"]]


@pytest.fixture
def prompts(shop: Shop, tmp_path: Path) -> Path:
    """Prompts with the answers that the stable version gives to them."""
    address = shop.get("get", "pods", "-l", "stoker.dev/version=stable")["items"][0]["status"]["podIP"]
    lines = []
    for text in ("What is the capital of France?", "Name a prime number.", "Say hello."):
        body = {
            "model": "llama", "messages": [{"role": "user", "content": text}], "max_tokens": 12, "seed": 0, "temperature": 0,
        }  # fmt: skip
        told = httpx2.post(f"http://{address}:8000/v1/chat/completions", json=body, trust_env=False).json()
        answer = told["choices"][0]["message"]["content"]
        lines.append(json.dumps({"prompt": text, "maxTokens": 12, "expect": {"exact": answer}}))
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_canary_that_answers_wrongly_is_aborted(shop: Shop, prompts: Path) -> None:
    shop.fault("garble", "--value", 0.7)

    said = shop.canary("--steps", "20,100", "--prompts", prompts, expect=1)

    assert "quality: only the canary failed" in said
    assert (100, 0) == shop.weights()


def test_a_canary_that_answers_as_it_should_is_promoted(shop: Shop, prompts: Path) -> None:
    said = shop.canary("--steps", "20,100", "--prompts", prompts, "--margin", "quality=0.1", expect=0)

    assert "quality     within the margin" in said


def test_killed_again_and_again_it_converges_and_nothing_is_done_twice(shop: Shop) -> None:
    lot = random.Random(5)  # noqa: S311  # moments to kill at, the same at every run
    kills = 0
    for _ in range(12):
        process = shop.start("--steps", "20,50,100")
        try:
            process.wait(timeout=lot.uniform(0.5, 15.0))
            break
        except subprocess.TimeoutExpired:
            kill(process)
            kills += 1
            assert shop.weights() in {(95, 5), (100, 0), (80, 20), (50, 50)}
    code, said = finish(process if process.returncode == 0 else shop.start("--steps", "20,50,100"))

    assert (0, True) == (code, kills > 0), said
    state = shop.state
    assert [20, 50] == [step["percent"] for step in state["steps"]]
    assert "promoted" == state["phase"]
    assert 1 == sum("promotion decided" in note["what"] for note in state["notes"])
    assert (100, 0) == shop.weights()
    assert _args(shop, "llama") == _args(shop, "llama-v2")
    runs = shop.get("get", "configmap", "-l", "stoker.dev/canary=llama")["items"]
    assert 1 == len(runs)


def test_two_at_once_are_refused_and_an_order_reaches_who_runs_it(shop: Shop) -> None:
    first = shop.start("--steps", "20,100", "--least", "2h", "--most", "3h")
    assert within(60, lambda: shop.weights() == (80, 20)), first.poll()

    said = shop.run("start", "llama", "-f", shop.platform, expect=4)
    assert "holds Lease" in said
    done = shop.run("abort", "llama", expect=1)
    code, words = finish(first)

    assert (1, True) == (code, "abort ordered by" in words), words
    assert "aborted" in done
    assert (100, 0) == shop.weights()


def test_where_nobody_runs_it_the_order_is_carried_out_at_once(shop: Shop) -> None:
    shop.canary("--steps", "20,100", "--least", "2h", "--most", "3h", "--no-watch", expect=5)
    shop.canary("--steps", "20,100", "--least", "2h", "--most", "3h", "--no-watch", expect=5)
    assert (80, 20) == shop.weights()

    shop.run("promote", "llama", expect=0)

    assert (100, 0) == shop.weights()
    assert _args(shop, "llama") == _args(shop, "llama-v2")


def test_another_plan_for_a_run_under_way_is_refused(shop: Shop) -> None:
    shop.canary("--steps", "20,100", "--no-watch", expect=5)

    assert "another plan" in shop.canary("--steps", "30,100", expect=4)
    shop.run("abort", "llama", expect=1)


def test_an_inconclusive_step_may_hold_the_traffic(shop: Shop) -> None:
    held = (
        "--steps",
        "20,100",
        "--most",
        "30s",
        "--least",
        "20s",
        "--margin",
        "errors=0.001",
        "--on-deadline",
        "hold",
    )
    shop.canary(*held, expect=5)

    assert (80, 20) == shop.weights()
    shop.run("abort", "llama", expect=1)
    assert (100, 0) == shop.weights()


def test_an_api_that_fails_now_and_then_changes_nothing(shop: Shop) -> None:
    stoker("lab", "fault", "api-500", "--value", 0.1, "--state", shop.folder)
    try:
        process = shop.start("--steps", "20,100")
        code, said = finish(process)
        while code == 3:  # four refusals in a row end a run; the next goes on
            code, said = finish(shop.start("--steps", "20,100"))
    finally:
        stoker("lab", "fault", "api-500", "--off", "--state", shop.folder)

    assert 0 == code, said
    assert (100, 0) == shop.weights()


def test_the_rights_that_are_printed_suffice_and_pods_are_reached_through_the_api_server(
    shop: Shop, tmp_path: Path
) -> None:
    kubectl = kubectl_of(shop.folder)
    role = stoker("rbac", "canary").stdout
    kubectl("apply", "-f", "-", text=role)
    kubectl("create", "serviceaccount", "pilot", "-n", "prod", check=False)
    kubectl("create", "rolebinding", "pilot", "-n", "prod", "--clusterrole=stoker-canary", "--serviceaccount=prod:pilot", check=False)  # fmt: skip
    token = kubectl("create", "token", "pilot", "-n", "prod").stdout.strip()
    config = yaml.safe_load((shop.folder / "kubeconfig").read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    pilot = replace(shop, kubeconfig=path)

    said = pilot.canary("--steps", "20,100", "--reach", "proxy", expect=0)

    assert "promoted" in said
    raw = shop.state["steps"][0]["raw"]
    assert all("error" not in pair["canary"] and "error" not in pair["stable"] for pair in raw)
