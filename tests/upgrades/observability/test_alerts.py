"""Every alert fires on bad series and stays silent on good ones, in the real Prometheus rule engine."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.upgrades.observability.cases import gpu_cases, model_cases, promtool_tests, tenant_cases

from stoker.platform.load import load, loads
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.observability import rule_groups

GUIDE = Path(__file__).resolve().parents[3] / "examples" / "guide.yaml"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool (Debian package prometheus) is not installed"
)

SMALL = """\
apiVersion: stoker.dev/v1
kind: Platform
name: small
pools: [{{name: p, gpu: A100-SXM-80GB, nodes: 4}}]
models:
- name: chat
  source: hf://meta-llama/Meta-Llama-3-8B-Instruct
  engine: {engine}
  canary: {{}}
"""


def platform_with(engine: str) -> ResolvedPlatform:
    return resolve(loads(SMALL.format(engine=engine)))


PLATFORMS = {
    "the guide": lambda: resolve(load(GUIDE)),
    "vLLM 0.9.1, which has the old name of the KV usage": lambda: platform_with(
        '{name: vllm, version: "0.9.1"}'
    ),
    "SGLang": lambda: platform_with("{name: sglang}"),
    "TGI": lambda: platform_with("{name: tgi}"),
}


def alerts(platform: ResolvedPlatform) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in rule_groups(platform):
        for rule in group["rules"]:
            if "alert" in rule:
                yield group, rule


def case_of(platform: ResolvedPlatform, rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Promtool's tests of one alert; a KeyError here is an alert that nobody wrote a case for."""
    name, labels = rule["alert"], rule["labels"]
    if "model" in labels:
        model = platform.models[labels["model"]]
        return promtool_tests(name, model_cases(model)[name](), f',model="{model.name}"')
    if "tenant" in labels:
        resource = labels.get("resource", "nvidia.com/gpu")
        case = tenant_cases(labels["namespace"], resource)[name]()
        return promtool_tests(name, case, f',tenant="{labels["tenant"]}"')
    return promtool_tests(name, gpu_cases()[name](), "")


def write_suites(folder: Path, platform: ResolvedPlatform, groups: list[dict[str, Any]]) -> list[Path]:
    """One suite an alert: promtool evaluates every rule of a suite for every test in it, minute by minute."""
    suites: list[Path] = []
    for index, group in enumerate(groups):
        (folder / f"rules-{index}.yaml").write_text(yaml.safe_dump({"groups": [group]}))
        recorded = [rule for rule in group["rules"] if "record" in rule]
        for rule in group["rules"]:
            if "alert" not in rule:
                continue
            name = f"{index}-{rule['alert']}.yaml"
            (folder / f"alert-{name}").write_text(
                yaml.safe_dump({"groups": [{**group, "rules": [*recorded, rule]}]})
            )
            suites.append(folder / f"tests-{name}")
            suite = {
                "rule_files": [f"alert-{name}"],
                "evaluation_interval": "1m",
                "tests": case_of(platform, rule),
            }
            suites[-1].write_text(yaml.safe_dump(suite))
    assert len(set(suites)) == len(suites)
    return suites


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False)


@needs_promtool
@pytest.mark.parametrize("name", PLATFORMS)
def test_each_alert_fires_on_bad_series_and_is_silent_on_good_ones(tmp_path: Path, name: str) -> None:
    platform = PLATFORMS[name]()
    groups = rule_groups(platform)
    suites = write_suites(tmp_path, platform, groups)

    checked = promtool("check", "rules", *sorted(tmp_path.glob("rules-*.yaml")))
    tested = promtool("test", "rules", *suites)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_an_alert_that_cannot_fire_is_caught(tmp_path: Path) -> None:
    """The guide's own mistake: a ratio compared with 90."""
    platform = platform_with("vllm")
    groups = rule_groups(platform)
    for group in groups:
        for rule in group["rules"]:
            if rule.get("alert") == "LLMKVCacheSaturation":
                rule["expr"] = rule["expr"].replace("> 0.9", "> 90")
    model = [group for group in groups if group["name"].endswith(".chat")]

    tested = promtool("test", "rules", *write_suites(tmp_path, platform, model))

    assert tested.returncode != 0
    assert "LLMKVCacheSaturation" in tested.stdout + tested.stderr


@pytest.mark.parametrize("name", PLATFORMS)
def test_each_alert_says_what_is_wrong_and_whose_it_is(name: str) -> None:
    for _, rule in alerts(PLATFORMS[name]()):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"]) > 30


def test_thresholds_follow_the_models_objectives() -> None:
    text = SMALL.format(engine="vllm") + "  slo: {ttftP95: 7s, availability: 99}\n"
    rules = {rule["alert"]: rule for _, rule in alerts(resolve(loads(text)))}

    assert rules["LLMHighTTFT"]["expr"].endswith("> 7")
    assert "> 0.144" in rules["LLMErrorBudgetBurnFast"]["expr"]


def test_a_tier_at_zero_is_not_reported_absent() -> None:
    found = {(rule["alert"], rule["labels"].get("model")) for _, rule in alerts(resolve(load(GUIDE)))}

    assert ("LLMTargetAbsent", "llama3-70b") in found
    assert ("LLMTargetAbsent", "llama3-8b-batch") not in found


def test_a_runbook_is_linked_where_the_platform_has_one() -> None:
    text = SMALL.format(engine="vllm") + "observability: {runbookUrl: https://runbooks.example.com/}\n"

    for _, rule in alerts(resolve(loads(text))):
        assert rule["annotations"]["runbook_url"] == f"https://runbooks.example.com/{rule['alert']}"
