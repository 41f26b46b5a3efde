"""`stoker audit` and `stoker rules` as a user runs them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import REPOSITORY, Run

QUOTA = """# team a
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: team-a}
spec:
  hard:
    # eight GPUs
    limits.nvidia.com/gpu: "8"  # all of them
"""
ONLY = ("--rule", "gpu-quota-never-enforced")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "deploy"
    made.mkdir()
    (made / "quota.yaml").write_text(QUOTA, encoding="utf-8")
    return made


def test_an_error_exits_with_one_and_names_file_line_and_rule(stoker: Run, folder: Path) -> None:
    run = stoker("audit", str(folder), *ONLY)

    assert 1 == run.returncode
    assert "quota.yaml:2" in run.stdout
    assert '8: spec.hard["limits.nvidia.com/gpu"]' in run.stdout
    assert "gpu-quota-never-enforced" in run.stdout


def test_the_bar_for_failing_can_be_moved(stoker: Run, folder: Path) -> None:
    assert 0 == stoker("audit", str(folder), *ONLY, "--fail-on", "never").returncode
    assert 0 == stoker("audit", str(folder), "--skip", "tenancy", "--skip", "security").returncode


def test_a_stream_is_read_from_standard_input(stoker: Run) -> None:
    run = stoker("audit", "-", *ONLY, "--output", "json", stdin=QUOTA)

    assert 1 == run.returncode
    (finding,) = json.loads(run.stdout)["findings"]
    assert {"file": "-", "line": 2} == finding["object"]["source"]
    assert 8 == finding["line"]


@pytest.mark.parametrize("output", ["text", "json", "sarif", "junit", "github", "markdown", "html"])
def test_every_format_prints_the_same_twice(stoker: Run, folder: Path, output: str) -> None:
    first, second = (stoker("audit", str(folder), "-o", output) for _ in range(2))

    assert first.stdout == second.stdout != ""
    assert 1 == first.returncode


def test_fix_shows_a_diff_and_changes_nothing(stoker: Run, folder: Path) -> None:
    run = stoker("audit", str(folder), *ONLY, "--fix")

    assert '-    limits.nvidia.com/gpu: "8"  # all of them' in run.stdout
    assert '+    requests.nvidia.com/gpu: "8"  # all of them' in run.stdout
    assert QUOTA == (folder / "quota.yaml").read_text(encoding="utf-8")


def test_write_keeps_comments_and_a_second_audit_is_clean(stoker: Run, folder: Path) -> None:
    written = stoker("audit", str(folder), *ONLY, "--fix", "--write")
    again = stoker("audit", str(folder), *ONLY)

    assert (0, 0) == (written.returncode, again.returncode)
    assert QUOTA.replace("limits.", "requests.") == (folder / "quota.yaml").read_text(encoding="utf-8")


def test_a_baseline_hides_what_is_known_and_nothing_new(stoker: Run, folder: Path) -> None:
    stoker("audit", str(folder), *ONLY, "--write-baseline", "base.json")
    known = stoker("audit", str(folder), *ONLY, "--baseline", "base.json")
    (folder / "more.yaml").write_text(QUOTA.replace("name: q", "name: r"), encoding="utf-8")
    more = stoker("audit", str(folder), *ONLY, "--baseline", "base.json", "-o", "json")

    assert 0 == known.returncode
    assert ["r"] == [finding["object"]["name"] for finding in json.loads(more.stdout)["findings"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "does not exist"),
        (("-", "x"), "cannot stand beside other sources"),
        ((".", "--context", "c"), "--context: reads a live cluster, and a source is named too"),
        ((".", "-n", "a"), "--namespace: reads a live cluster, and a source is named too"),
        ((".", "--write"), "needs --fix"),
        ((".", "--rule", "gpu-quota-never-enforcd"), "did you mean gpu-quota-never-enforced"),
        ((".", "--baseline", "nowhere.json"), "cannot be read"),
        (("-", "--fix", "--write"), "name the files"),
    ],
)
def test_bad_usage_is_told_with_a_fix(stoker: Run, arguments: tuple[str, ...], said: str) -> None:
    run = stoker("audit", *arguments, stdin=QUOTA)

    assert 2 == run.returncode
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_what_was_not_read_is_told(stoker: Run, folder: Path) -> None:
    """Silence about a file would be taken for health."""
    (folder / "broken.yaml").write_text("a: [1\n", encoding="utf-8")

    run = stoker("audit", str(folder), *ONLY)

    assert "Not checked" in run.stdout
    assert "broken.yaml" in run.stdout


def test_a_malformed_field_is_told_with_its_line(stoker: Run, folder: Path) -> None:
    """The rules have not seen it: silence about it would be taken for health."""
    (folder / "quota.yaml").write_text(f"{QUOTA}  scopes: all\n", encoding="utf-8")

    run = stoker("audit", str(folder), *ONLY)

    assert "ResourceQuota team-a/q in deploy/quota.yaml:9: spec.scopes is a string" in run.stdout.replace(
        f"{folder.parent}/", ""
    )


def test_rules_are_listed_and_told_in_full(stoker: Run) -> None:
    listed = json.loads(stoker("rules", "--output", "json").stdout)
    shown = stoker("rules", "show", "gpu-quota-never-enforced")
    wrong = stoker("rules", "show", "gpu-quota")

    assert {"id", "upgrade", "severity", "title", "why", "fix", "references", "needs"} == listed[0].keys()
    for part in ("What", "Why", "Fix", "Source", "Bad", "Good"):
        assert f"\n{part}\n" in shown.stdout
    assert 2 == wrong.returncode


def test_the_broken_example_is_found_broken_and_mended_as_far_as_patches_go(
    stoker: Run, tmp_path: Path
) -> None:
    """What the README shows; the copy is written to, twice at most, and nothing new appears."""
    copy = tmp_path / "broken"
    shutil.copytree(REPOSITORY / "examples" / "broken", copy)
    first = json.loads(stoker("audit", str(copy), "-o", "json").stdout)
    for _ in range(2):
        assert 0 == stoker("audit", str(copy), "--fix", "--write").returncode
    last = json.loads(stoker("audit", str(copy), "-o", "json").stdout)

    def marks(report: dict[str, Any]) -> set[tuple[str, str]]:
        return {(finding["rule"], finding["object"]["name"]) for finding in report["findings"]}

    assert {
        "model-does-not-fit",
        "rollout-deadlock",
        "scale-to-zero-cannot-wake",
        "limit-range-injects-gpu",
    } <= {rule for rule, _ in marks(first)}
    assert set() == marks(last) - marks(first)
    assert [] == [finding["rule"] for finding in last["findings"] if finding["fix"]["patch"]]
    assert "# nothing to pay at night" in (copy / "server.yaml").read_text(encoding="utf-8")
