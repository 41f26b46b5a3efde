"""The main job: the guide's manifests are found wrong where the facts say so, and what Stoker compiles from its intent is clean."""

from datetime import date
from pathlib import Path

import pytest
from tests.cli.conftest import REPOSITORY

from stoker.audit.finding import Severity
from stoker.audit.patch import usable
from stoker.audit.registry import rules
from stoker.audit.run import Report, audit
from stoker.kube.edit import Change, edit_text
from stoker.kube.paths import show
from stoker.kube.read import read_paths, read_text
from stoker.kube.snapshot import Snapshot
from stoker.platform.load import load
from stoker.render.formats import Destination, render_files
from stoker.sizing.resolve import resolve

TODAY = date(2026, 11, 24)

# What the facts (facts.md 0-1g, observed.md) say is wrong in each file and objects can show.
WRONG = {
    "01": {
        "model-does-not-fit", "engine-image-unpinned", "vllm-model-flag-deprecated", "model-path-not-mounted", "server-without-port",
        "server-without-readiness", "server-without-startup-probe", "grace-default-for-streams", "shutdown-cuts-streams",
        "rollout-deadlock", "one-replica-per-gpu-node", "taint-keeps-device-plugin-out", "gpu-labels-by-hand",
        "server-outranked-by-default", "replicas-owned-twice", "server-not-scraped", "server-without-budget", "host-memory-below-weights",
    },
    "02": {
        "kserve-mode-legacy", "kserve-runtime-unknown", "kserve-format-unsupported", "kserve-resources-defaulted",
        "kserve-scales-on-cpu", "model-does-not-fit", "server-without-toleration", "vllm-flag-redundant",
        "server-outranked-by-default", "one-warm-replica",
    },
    "03": {
        "canary-traffic-ignored", "canary-drops-fields", "kserve-resources-defaulted", "kserve-runtime-unknown",
        "kserve-format-unsupported", "model-does-not-fit", "server-without-toleration",
    },
    "04": {
        "trigger-name-with-underscore", "scale-to-zero-cannot-wake", "trigger-metric-name-removed", "empty-query-scales-in",
        "no-fallback", "running-threshold-far-below-capacity", "cooldown-shorter-than-load", "scale-in-cuts-streams",
        "trigger-threshold-per-replica", "label-that-no-target-has",
    },
    "05": {"gpu-quota-never-enforced", "memory-quota-without-defaults", "namespace-over-gpu-quota"},
    "06": {
        "priority-promises-no-eviction", "priority-easily-outranked", "experiments-may-preempt", "priority-unguarded",
        "priority-classes-unused",
    },
    "07": {"limit-range-injects-gpu", "limit-range-caps-containers-only"},
    "08": {"scrape-through-service", "scrape-target-missing", "scrape-config-unread"},
    "09": {
        "metric-removed", "ratio-compared-with-percent", "kv-cache-alert-promises-oom", "kv-cache-alert-alone",
        "ratio-shown-as-percent", "quantile-over-raw-buckets", "quantile-per-replica", "queue-alert-per-replica",
        "no-alert-on-absence", "alerts-unreadable-for-operator",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def report(shared: Path) -> Report:
    return audit(read_paths([shared / "guide" / "manifests"]), rules(), TODAY)


@pytest.mark.parametrize("file", list(WRONG))
def test_everything_the_facts_say_of_a_file_is_found(report: Report, file: str) -> None:
    found = {f.rule for f in report.findings if Path(f.item.source.file).name.startswith(file)}

    assert set() == WRONG[file] - found


def test_the_limits_line_of_each_of_the_three_quotas_is_found(report: Report) -> None:
    found = [show(f.path) for f in report.findings if f.rule == "gpu-quota-never-enforced"]

    assert ['spec.hard["limits.nvidia.com/gpu"]'] * 3 == found


def test_seventy_billion_parameters_on_one_gpu_are_found_three_times_with_a_layout_that_fits(
    report: Report,
) -> None:
    found = [f.message for f in report.findings if f.rule == "model-does-not-fit"]

    assert 3 == len(found)
    assert all("131.4 GiB of weights" in message and "TP4 on 4 GPUs fits" in message for message in found)


def compiled(name: str) -> Snapshot:
    """What Stoker renders from an example, as one stream."""
    rendering = render_files(resolve(load(REPOSITORY / "examples" / f"{name}.yaml")), "plain", Destination())
    text = "\n---\n".join(content for file, content in rendering.files.items() if file.endswith(".yaml"))
    return read_text(text.encode(), "rendered.yaml")


def test_the_platform_compiled_from_the_guides_intent_audits_clean() -> None:
    """Not one finding, and a hundred rules had something to judge."""
    clean = audit(compiled("guide"), rules(), TODAY)

    assert [] == [f"{f.rule}: {f.item}: {f.message}" for f in clean.findings]
    assert sum(verdict.subjects > 0 for verdict in clean.verdicts) > 100


@pytest.mark.parametrize(
    "name", ["minimal", "knative", "llm-inference-service", "shared-gpus", "deployment", "graph"]
)
def test_no_other_example_has_an_error(name: str) -> None:
    found = audit(compiled(name), rules(), TODAY).findings

    assert [] == [f"{f.rule}: {f.message}" for f in found if f.severity is Severity.ERROR]


def test_writing_every_patch_leaves_none_of_them_and_nothing_new(shared: Path, tmp_path: Path) -> None:
    """The bar of `--fix --write`, on copies of the guide's files, run until no patch is left."""
    files = {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted((shared / "guide" / "manifests").iterdir())
    }
    before: set[tuple[str, str]] | None = None
    for _ in range(3):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        found = audit(read_paths([tmp_path]), rules(), TODAY).findings
        marks = {(finding.rule, str(finding.item)) for finding in found}
        assert before is None or set() == marks - before
        before = before or marks
        for finding in usable(found):
            name = Path(finding.item.source.file).name
            files[name] = edit_text(files[name], [Change(finding.item.source, finding.fix.ops)])

    assert [] == [
        finding.rule
        for finding in audit(read_paths([tmp_path]), rules(), TODAY).findings
        if finding.fix.automatic
    ]
    assert "# v2 gets 5% of traffic" in files["03-inferenceservice-canary.yaml"]
