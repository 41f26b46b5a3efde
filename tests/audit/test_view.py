"""The view answers the same as a search through everything, and computes an answer once."""

import gc
from datetime import date
from typing import Any

import pytest
from tests.audit.mutations import documents, stream

from stoker.audit.example import example
from stoker.audit.registry import rule_by_id
from stoker.audit.run import audit
from stoker.audit.view.gpus import fit, stored_weights
from stoker.audit.view.memo import once_per_view
from stoker.audit.view.view import View
from stoker.catalog.gpus import gpu
from stoker.catalog.models import ModelArchitecture, models
from stoker.kube.read import read_text
from stoker.sizing.report import size_model

TODAY = date(2026, 11, 24)
SERVERS = "\n---\n".join(
    f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: s{number}, namespace: {namespace}}}
spec:
  template:
    spec:
      nodeSelector: {{nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.33.0
        args: [--model, meta-llama/Meta-Llama-3-8B-Instruct]
        resources: {{limits: {{{resource}: "1"}}}}"""
    for number, (namespace, resource) in enumerate(
        [("a", "nvidia.com/gpu"), ("b", "nvidia.com/gpu"), ("a", "cpu"), ("a", "nvidia.com/gpu")]
    )
)


def view() -> View:
    return View(read_text(SERVERS.encode()), TODAY)


def test_workloads_of_a_namespace_come_in_their_order() -> None:
    found = view()

    assert ["s0", "s2", "s3"] == [w.item.name for w in found.workloads_in("a")]
    assert ["s0", "s3"] == [w.item.name for w in found.gpu_workloads_in("a")]
    assert () == found.gpu_workloads_in("elsewhere")


def test_a_fit_is_computed_once_for_each_server() -> None:
    found = view()
    server = found.servers[0]

    assert fit(server, gpu("H100-SXM-80GB")) == found.fit(server) is not None
    assert found.fit(server) is found.fit(server)
    assert found.fit(found.servers[2]) is None, "no GPU, no fit"


@pytest.mark.parametrize("quantization", ["", "none", "fp8", "int8", "awq", "gptq", "nf4", "nvfp4", "mxfp4"])
@pytest.mark.parametrize("model", models().values(), ids=lambda item: item.name)
def test_stored_weights_are_those_of_the_full_sizing(model: ModelArchitecture, quantization: str) -> None:
    report = size_model(model, gpu("H100-SXM-80GB"), quantization=quantization or "auto")

    assert report.weights == stored_weights(model, quantization)


def test_an_answer_of_a_view_is_computed_once_and_goes_with_it() -> None:
    asked: list[int] = []

    @once_per_view
    def answer(found: View) -> int:
        asked.append(len(found.workloads))
        return len(asked)

    one, other = view(), view()

    assert [1, 2, 1, 2] == [answer(one), answer(other), answer(one), answer(other)]
    assert [4, 4] == asked
    del one, other
    gc.collect()
    assert 3 == answer(view())


RULES = (
    "memory-quota-without-defaults", "quota-below-one-replica", "quota-without-room-for-rollout", "gpu-resource-outside-quota",
    "limit-range-refuses-workload", "budget-blocks-every-drain", "budget-selects-nothing", "server-without-toleration",
    "namespace-over-gpu-quota", "scale-target-missing", "scale-target-not-scalable", "inferencepool-selects-nothing",
    "route-ingress-port-missing", "inferencepool-port-mismatch", "claim-not-bound", "namespace-without-pod-security",
    "server-account-is-admin", "gpu-namespace-without-quota",
)  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_what_lies_in_another_namespace_changes_nothing(name: str) -> None:
    """The bad and the good example side by side are judged as each is alone."""
    rule = rule_by_id(name)
    shown = example(rule)
    bad, good = moved(documents(shown.bad), "bad"), moved(documents(shown.good), "good")

    def judged(items: list[Any]) -> tuple[int, int, list[str]]:
        report = audit(shown.snapshot(stream(items)), [rule], TODAY)
        (verdict,) = report.verdicts
        told = [f"{found.item}: {found.message}: {found.fix}" for found in report.findings]
        return verdict.subjects, verdict.failed, told

    apart = (judged(bad)[0] + judged(good)[0], *judged(bad)[1:])

    assert apart == judged([*bad, *good])
    assert apart == judged([*good, *bad])


def test_a_privileged_pod_elsewhere_does_not_keep_a_namespace_from_its_level() -> None:
    name = "namespace-without-pod-security"
    privileged = moved(documents(example(rule_by_id("server-privileged")).bad), "elsewhere")
    source = [*documents(example(rule_by_id(name)).bad), *privileged]
    (finding,) = audit(read_text(stream(source).encode()), [rule_by_id(name)], TODAY).findings

    assert finding.fix.ops


def moved(value: Any, namespace: str) -> Any:
    """A copy in which every object lies in another namespace."""
    if isinstance(value, list):
        return [moved(item, namespace) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[Any, Any] = {
        key: namespace if key == "namespace" else moved(item, namespace) for key, item in value.items()
    }
    if made.get("kind") == "Namespace" and "apiVersion" in made:
        made["metadata"]["name"] = namespace
    return made
