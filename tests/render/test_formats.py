"""The four layouts hold the same objects; each adds what its reader needs."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from stoker.errors import InputError
from stoker.kube.yaml_text import Loader
from stoker.platform.load import load
from stoker.render.formats import Destination, Rendering, render_files
from stoker.sizing.resolve import resolve

GUIDE = Path(__file__).resolve().parents[2] / "examples" / "guide.yaml"
HERE = Destination("https://git.example.com/ai/deploy.git", "clusters/main")


def rendering(form: str) -> Rendering:
    return render_files(resolve(load(GUIDE)), form, HERE)


@pytest.mark.parametrize("form", ["plain", "kustomize", "argocd", "flux"])
def test_every_format_holds_every_object_once(form: str) -> None:
    result = rendering(form)
    keys = [item.key for item in result.objects]
    written = [
        (
            document["apiVersion"],
            document["kind"],
            document["metadata"].get("namespace", ""),
            document["metadata"]["name"],
        )
        for path, text in result.files.items()
        if path[:2].isdigit() and path.endswith(".yaml") and not path.endswith("kustomization.yaml")
        for document in yaml.safe_load_all(text)
    ]
    assert sorted(keys) == sorted(written)
    assert len(set(keys)) == len(keys)


def test_files_sort_in_the_order_of_application() -> None:
    result = rendering("plain")
    paths = [path for path in sorted(result.files) if path.endswith(".yaml")]
    waves = [
        int(document["metadata"]["annotations"]["stoker.dev/wave"])
        for path in paths
        for document in yaml.safe_load_all(result.files[path])
    ]
    assert sorted(waves) == waves


def test_argocd_waits_for_components_before_the_platform() -> None:
    applications = list(yaml.safe_load_all(rendering("argocd").files["argocd/applications.yaml"]))
    waves = [int(item["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for item in applications]
    assert waves == sorted(waves)
    assert applications[-1]["spec"]["source"]["repoURL"] == HERE.repo_url
    assert all(item["spec"]["source"].get("targetRevision") for item in applications)


def test_flux_waves_depend_on_one_another() -> None:
    documents = list(yaml.safe_load_all(rendering("flux").files["flux/sources.yaml"]))
    waves = [item for item in documents if item["kind"] == "Kustomization"]
    assert "dependsOn" not in waves[0]["spec"]
    for earlier, later in pairwise(waves):
        assert [{"name": earlier["metadata"]["name"]}] == later["spec"]["dependsOn"]
    releases = {item["metadata"]["name"] for item in documents if item["kind"] == "HelmRelease"}
    assert {component.name for component in rendering("flux").components} == releases


@pytest.mark.parametrize("form", ["argocd", "flux"])
def test_a_gitops_format_needs_a_repository(form: str) -> None:
    with pytest.raises(InputError, match="repo-url"):
        render_files(resolve(load(GUIDE)), form, Destination())


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", [".", "01-namespaces"], ids=["kustomize", "flux"])
def test_the_real_kustomize_builds_it(tmp_path: Path, folder: str) -> None:
    form = "kustomize" if folder == "." else "flux"
    result = rendering(form)
    for path, text in result.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    built = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / folder)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    documents = list(yaml.load_all(built.stdout, Loader))  # a SafeLoader that takes a plain `=`
    wanted = len(result.objects) if form == "kustomize" else sum(item.wave == 1 for item in result.objects)
    assert wanted == len(documents)


def test_the_readme_tells_what_the_knative_operator_needs() -> None:
    knative = GUIDE.parent / "knative.yaml"
    text = render_files(resolve(load(knative)), "plain", HERE).files["README.md"]

    block = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    features = yaml.safe_load(block)["spec"]["config"]["features"]
    assert features["kubernetes.podspec-tolerations"] == "enabled"
    assert "KnativeServing" not in rendering("plain").files["README.md"]


def test_nodes_md_names_the_taint_that_the_gpu_stack_tolerates() -> None:
    text = rendering("plain").files["NODES.md"]

    assert "nvidia.com/gpu=present:NoSchedule" in text
    assert "stoker.dev/pool=a100" in text
