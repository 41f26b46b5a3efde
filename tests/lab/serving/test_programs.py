"""Scripts that end, routes that share traffic: the parts that need no process."""

from collections import Counter
from random import Random

import pytest
from tests.lab.serving.test_launch import run

from stoker.lab.serving.contract import Absent, Backend, Rule
from stoker.lab.serving.dcgm import Exporter, model_name
from stoker.lab.serving.devices import Devices
from stoker.lab.serving.routing import matches, pick
from stoker.lab.serving.shell import Step, script_of, steps_of


def played(script: str) -> tuple[float, int, list[str]]:
    """Seconds, exit code and output of a script."""
    steps: list[Step] = list(steps_of(script))
    return (
        sum(step.seconds for step in steps),
        steps[-1].code if steps else 0,
        [line for step in steps for line in step.says],
    )


@pytest.mark.parametrize(
    ("script", "seconds", "code", "says"),
    [
        ("exit 3", 0, 3, []),
        ("sleep 5; exit 1", 5, 1, []),
        ("echo hello && sleep 2m", 120, 0, ["hello"]),
        ("false || exit 4", 0, 4, []),
        ("false && exit 4", 0, 1, []),
        ("true && exit 7; exit 8", 0, 7, []),
        ("set -e\nsleep 1\nexit", 1, 0, []),
        ("exec sleep infinity", float("inf"), 0, []),
        ("while true; do echo hi; sleep 1; done", float("inf"), 0, []),
        ("tail -f /dev/null", float("inf"), 0, []),
        ("A=1 sleep 3", 3, 0, []),
    ],
)
def test_scripts_mean_what_a_shell_makes_of_them(
    script: str, seconds: float, code: int, says: list[str]
) -> None:
    assert (seconds, code, says) == played(script)


def test_a_command_that_is_not_emulated_says_so() -> None:
    assert ["[lab] not emulated, taken to succeed at once: python train.py"] == played("python train.py")[2]


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["sh", "-c", "exit 3"], "exit 3"),
        (["/bin/bash", "-ec", "sleep 1"], "sleep 1"),
        (["sleep", "10"], "sleep 10"),
        (["busybox", "sleep", "10"], "sleep 10"),
        (["python", "-m", "x"], None),
        ([], None),
    ],
)
def test_scripts_are_found_in_commands(words: list[str], script: str | None) -> None:
    assert script == script_of(words)


@pytest.mark.parametrize(
    ("rule", "host", "path", "headers", "is_match"),
    [
        (Rule(), "any", "/x", {}, True),
        (Rule(hosts=("a.example",)), "a.example:8080", "/", {}, True),
        (Rule(hosts=("a.example",)), "b.example", "/", {}, False),
        (Rule(hosts=("*.example",)), "b.example", "/", {}, True),
        (Rule(hosts=("*.example",)), "example", "/", {}, False),
        (Rule(path="/v1"), "any", "/v1/models", {}, True),
        (Rule(path="/v1/"), "any", "/v1", {}, True),
        (Rule(path="/v1"), "any", "/v10", {}, False),
        (Rule(headers={"X-Canary": "yes"}), "any", "/", {"x-canary": "yes"}, True),
        (Rule(headers={"X-Canary": "yes"}), "any", "/", {"x-canary": "no"}, False),
    ],
)
def test_rules_match_by_host_path_and_headers(
    rule: Rule, host: str, path: str, headers: dict[str, str], *, is_match: bool
) -> None:
    assert is_match is matches(rule, host, path, headers)


def test_groups_share_requests_by_weight_and_members_take_turns() -> None:
    stable = tuple(Backend("127.0.0.2", port, 90, "stable") for port in range(3))
    backends = (*stable, Backend("127.0.0.3", 1, 10, "canary"), Backend("127.0.0.4", 1, 0, "off"))
    choose = pick(backends, (Absent(100, "gone", 500),), Random(1))  # noqa: S311

    chosen = [choose() for _ in range(10_000)]

    counts = Counter(each.group for each in chosen)
    # Four standard deviations of a binomial each.
    assert abs(counts["stable"] - 4500) < 4 * (10_000 * 0.45 * 0.55) ** 0.5
    assert abs(counts["canary"] - 500) < 4 * (10_000 * 0.05 * 0.95) ** 0.5
    assert abs(counts["gone"] - 5000) < 4 * (10_000 * 0.5 * 0.5) ** 0.5
    assert 0 == counts["off"]
    turns = [each.port for each in chosen if isinstance(each, Backend) and each.group == "stable"]
    assert [0, 1, 2, 0, 1, 2] == turns[:6]
    assert "canary" == choose("canary").group
    assert choose("off").group in {"stable", "canary", "gone"}, (
        "who waited for a group without a share goes elsewhere"
    )


def test_the_exporter_tells_of_every_gpu_and_its_pod() -> None:
    devices = Devices()
    asked = run(pod={"metadata": {"name": "p", "namespace": "ml"}, "spec": {"nodeName": "n1"}})
    time, busy = [1000.0], [0.0]
    held = devices.claim(asked, lambda: busy[0])
    exporter = Exporter("n1", lambda: devices.of_node("n1", "A100-SXM-80GB"), lambda: time[0], 30.0)
    exporter.page()
    held[0].holders[asked.id].memory_gib = 10.0
    held[0].xid = 79
    time[0], busy[0] = 1030.0, 15.0

    lines = exporter.page().decode().splitlines()

    own = [line for line in lines if 'pod="p"' in line]
    assert 8 == sum(line.startswith("DCGM_FI_DEV_GPU_UTIL{") for line in lines)
    assert ["50", "70810", "10240", "79", "0.500000"] == [line.rpartition(" ")[2] for line in own][:5]
    assert "DCGM_FI_PROF_SM_ACTIVE 0.4" in {
        line.partition("{")[0] + " " + line.rpartition(" ")[2][:3] for line in own
    }
    assert all(
        'namespace="ml"' in line and 'Hostname="n1"' in line and 'container="main"' in line for line in own
    )


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("NVIDIA-A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"),
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3"),
        ("Tesla-T4", "Tesla T4"),
    ],
)
def test_models_are_called_as_nvml_calls_them(label: str, name: str) -> None:
    assert name == model_name(label)


def test_devices_are_shared_where_the_plugin_says_so() -> None:
    devices = Devices()
    first = devices.claim(run(env={"NVIDIA_VISIBLE_DEVICES": "3"}), lambda: 0.0)
    name = first[0].uuid
    second = devices.claim(run(env={"NVIDIA_VISIBLE_DEVICES": name}), lambda: 0.0)

    assert [3] == [each.index for each in second]
    assert first == second
