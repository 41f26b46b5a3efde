"""The commands as a user runs them: exit codes, what is printed, what is asked."""

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apply.running.things import Kubectl, stoker
from tests.conftest import REPOSITORY
from tests.lab.running.conftest import STOKER

MINIMAL = REPOSITORY / "examples" / "minimal.yaml"


def with_line(folder: Path, line: str) -> Path:
    """The platform, with another line for its model."""
    changed = folder / "changed.yaml"
    changed.write_text(f"{MINIMAL.read_text(encoding='utf-8')}    {line}\n", encoding="utf-8")
    return changed


@pytest.fixture
def where(kubeconfig: Path, kubectl: Kubectl) -> Iterator[tuple[object, ...]]:
    yield ("--kubeconfig", kubeconfig)
    stoker("uninstall", "--yes", "--delete-changed", "--kubeconfig", kubeconfig)
    kubectl("delete", "namespace", "stoker-system", "--ignore-not-found")


def test_a_platform_is_planned_applied_compared_and_taken_back(
    where: tuple[object, ...], kubectl: Kubectl, tmp_path: Path
) -> None:
    planned = stoker("plan", MINIMAL, *where, "--output", "json", check=False)
    assert 1 == planned.returncode, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["summary"]["create"] == len(plan["changes"]) > 30
    assert sorted(change["wave"] for change in plan["changes"]) == [
        change["wave"] for change in plan["changes"]
    ]
    assert plan["money"]["gpus"]
    assert plan["money"]["usd_per_month"] > 0
    assert {"fits", "workloads", "provenance"} <= set(plan["capacity"])
    assert plan["measured_on"].startswith("lab")

    dry = stoker("apply", MINIMAL, *where, "--dry-run")
    assert "to create" in dry.stdout
    assert "NotFound" in kubectl("get", "namespace", "stoker-system", check=False)

    applied = stoker("apply", MINIMAL, *where, "--no-wait")
    assert f"run 1: {len(plan['changes'])} objects changed; `stoker rollback 1` undoes it" in applied.stdout
    assert "wave 1: namespaces" in applied.stderr, "plain lines where there is no terminal"

    same = stoker("plan", MINIMAL, *where)
    assert f"no changes; {len(plan['changes'])} as wanted" in same.stdout
    assert "Decided by the twin's scheduler" in same.stdout
    assert 0 == stoker("diff", MINIMAL, *where, "--exit-code").returncode

    changed = with_line(tmp_path, "replicas: {min: 1, max: 5}")
    drift = stoker("diff", changed, *where, "--exit-code", check=False)
    assert 1 == drift.returncode
    assert ".spec.maxReplicaCount" in drift.stdout
    assert 0 == stoker("diff", changed, *where).returncode

    listed = json.loads(stoker("rollback", "--list", *where, "--output", "json").stdout)
    assert [(1, "apply", "done", {"create": len(plan["changes"])})] == [
        (run["run"], run["command"], run["state"], run["done"]) for run in listed
    ]


def test_what_is_risky_is_asked_for_and_refused_where_nobody_is_there_to_ask(
    where: tuple[object, ...], kubeconfig: Path, tmp_path: Path
) -> None:
    stoker("apply", MINIMAL, *where, "--no-wait")
    changed = with_line(tmp_path, "contextLength: 4096")
    shown = stoker("plan", changed, *where, check=False).stdout
    assert "disruptive: pods restart" in shown

    refused = stoker("apply", changed, *where, "--no-wait", check=False)
    assert 4 == refused.returncode
    assert "Nobody is there to ask: nothing was changed" in refused.stderr

    command = ["apply", str(changed), "--kubeconfig", str(kubeconfig), "--no-wait"]
    assert 4 == _on_a_terminal(command, "n\n")
    assert 1 == stoker("plan", changed, *where, check=False).returncode
    assert 0 == _on_a_terminal(command, "y\n")
    assert 0 == stoker("plan", changed, *where, check=False).returncode


def _on_a_terminal(arguments: list[str], answer: str) -> int:
    """Exit code of the command on a terminal on which the question is answered."""
    ours, theirs = pty.openpty()
    command = [str(STOKER), *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen, answered, deadline = b"", False, time.monotonic() + 600
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 1.0)
        if not ready:
            continue
        try:
            found = os.read(ours, 65536)
        except OSError:
            break  # the command has ended
        seen += found
        if b"[y/N]" in seen and not answered:
            os.write(ours, answer.encode())
            answered = True
    code = process.wait(timeout=60)
    os.close(ours)
    assert answered, seen.decode(errors="replace")
    return code


def test_a_cluster_that_does_not_answer_is_exit_3(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "x"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))

    done = stoker("plan", MINIMAL, "--kubeconfig", tmp_path / "config", check=False)

    assert 3 == done.returncode, done.stderr
    assert "does not answer" in done.stderr


def test_a_take_without_a_field_and_an_upgrade_that_there_is_not_are_bad_input(kubeconfig: Path) -> None:
    for options in (("--take", "Deployment/a/b"), ("--upgrade", "speed")):
        done = stoker("plan", MINIMAL, "--kubeconfig", kubeconfig, *options, check=False)
        assert 2 == done.returncode
        assert options[0] in done.stderr


def test_capacity_alone_needs_no_cluster() -> None:
    done = subprocess.run(
        [STOKER, "plan", MINIMAL, "--capacity"], capture_output=True, text=True, check=False, env={"KUBECONFIG": "/nowhere"}
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    assert "Decided by the twin's scheduler" in done.stdout


def test_an_uninstall_of_nothing_is_no_error(kubeconfig: Path, kubectl: Kubectl) -> None:
    kubectl("delete", "namespace", "stoker-system", "--ignore-not-found")

    assert "the cluster is as it was found" in stoker("uninstall", "--yes", "--kubeconfig", kubeconfig).stdout
