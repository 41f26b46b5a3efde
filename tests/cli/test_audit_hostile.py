"""The command itself against sources as they come: the exit code is documented, and nothing ends in a traceback."""

from pathlib import Path

import pytest
from tests.cli.conftest import Run

STREAMS = {
    "nothing": "",
    "a cut-off dump": '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, {"apiV',
    "mixed documents": "kind: 3\n---\n[1,\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
    "an error of kubectl": "error: You must be logged in to the server (Unauthorized)\n",
    "terminal escapes": 'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: "\\e[2J\\e[31mx"}\nspec: {hard: {limits.nvidia.com/gpu: "8"}}\n',
    "markup": "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: '[bold red]x[/]'}\nspec: {hard: {limits.nvidia.com/gpu: '8'}}\n",
    "deep nesting": "[" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("output", ["text", "json", "sarif", "html"])
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in STREAMS.items()])
def test_a_hostile_stream_ends_as_documented(stoker: Run, text: str, output: str) -> None:
    run = stoker("audit", "-", "--output", output, stdin=text)

    assert run.returncode in {0, 1}
    assert "Traceback" not in run.stderr
    assert "\x1b" not in run.stdout


def test_an_unreadable_baseline_and_an_unwritable_one_are_told(stoker: Run, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("[]", encoding="utf-8")

    assert 2 == stoker("audit", "-", "--baseline", "b.json").returncode
    assert 2 == stoker("audit", "-", "--write-baseline", "nowhere/b.json").returncode


@pytest.mark.parametrize("kubeconfig", ["absent", "empty", "elsewhere"])
def test_a_cluster_that_cannot_be_read_is_told_with_a_fix(
    stoker: Run, tmp_path: Path, kubeconfig: str
) -> None:
    """Unusable configuration is bad input (2), a server that does not answer is unreachable (3)."""
    file = tmp_path / "k"
    if kubeconfig != "absent":
        server = "http://127.0.0.1:9" if kubeconfig == "elsewhere" else ""
        text = (
            "{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: '" + server + "'}}], users: [{name: u, user: {token: t}}],"
            " contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}"
        )  # fmt: skip
        file.write_text(text if kubeconfig == "elsewhere" else "", encoding="utf-8")

    run = stoker("audit", "--kubeconfig", str(file))

    assert (3 if kubeconfig == "elsewhere" else 2) == run.returncode
    assert "fix:" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_prometheus_that_does_not_answer_is_told(stoker: Run) -> None:
    run = stoker("audit", "-", "--prometheus", "http://127.0.0.1:9")

    assert 3 == run.returncode
    assert "does not answer" in run.stderr
