"""The four layouts: plain folders, kustomize, Argo CD and Flux. All hold the same object files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.errors import InputError, Problem
from stoker.render.layout import object_files, wave_directory
from stoker.render.readme import nodes_md, readme_md
from stoker.render.yaml_text import dump, dump_all
from stoker.sizing.resolved import Note, ResolvedPlatform
from stoker.upgrades import compile_platform
from stoker.upgrades.components import ComponentPlan, compile_components
from stoker.upgrades.objects import Emitted, ordered
from stoker.upgrades.scheduling import node_plan

__all__ = ["Destination", "Rendering", "render_files"]

_VALUES_HEADER: Final = "# Helm values of {name} {version}. -*- yaml -*- vim: ft=yaml\n"
# kubectl apply -k reads this name; kustomize/api/types.KustomizationVersion.
_KUSTOMIZATION: Final = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a GitOps controller will read the files: repository URL and path within it."""

    repo_url: str = ""
    path: str = "."


@dataclass(frozen=True, slots=True)
class Rendering:
    """Files (relative path -> text), the objects in them, and the path of each object by its key."""

    format: str
    files: dict[str, str]
    objects: list[Emitted]
    components: list[ComponentPlan]
    notes: tuple[Note, ...]
    paths: dict[tuple[str, str, str, str], str] = field(default_factory=dict)


def render_files(platform: ResolvedPlatform, form: str, destination: Destination) -> Rendering:
    """Compile and lay out a platform.

    Raises:
        InputError: a GitOps format without a repository.
    """
    if form in {"argocd", "flux"} and not destination.repo_url:
        raise InputError(
            [
                Problem(
                    f"--format {form} needs the git repository that will hold the folder",
                    wanted="--repo-url https://git.example.com/team/repo.git",
                    fix="pass --repo-url, or set STOKER_REPO_URL",
                )
            ]
        )
    objects = ordered(compile_platform(platform))
    components = compile_components(platform)
    manifests, paths = object_files(objects)
    files = dict(manifests)
    for item in components:
        header = _VALUES_HEADER.format(name=item.name, version=item.version)
        files[f"components/{item.name}.values"] = header + dump(item.values)
    files["README.md"] = readme_md(platform, objects, components, form)
    files["NODES.md"] = nodes_md(node_plan(platform))
    if form == "kustomize":
        files["kustomization.yaml"] = dump({**_KUSTOMIZATION, "resources": sorted(manifests)})
    elif form == "argocd":
        files["argocd/applications.yaml"] = _documents(_argocd(platform, components, destination))
    elif form == "flux":
        files.update(_flux_kustomizations(manifests))
        files["flux/sources.yaml"] = _documents(_flux(platform, objects, components, destination))
    return Rendering(form, files, objects, components, platform.notes, paths)


def _documents(objects: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    return dump_all(objects)


def _argocd(
    platform: ResolvedPlatform, components: Sequence[ComponentPlan], destination: Destination
) -> list[tuple[str, Mapping[str, Any]]]:
    # Components first: Argo CD applies Applications of a lower sync wave, and waits for their health, before the next.
    count = len(components)
    return [
        *(
            (
                f"component {item.name}: {item.why}",
                _application(
                    item.name,
                    item.namespace,
                    wave=index - count,
                    source={
                        "repoURL": item.repository.removeprefix("oci://"),
                        "chart": item.chart,
                        "targetRevision": item.version,
                        "helm": {"releaseName": item.release, "valuesObject": item.values},
                    },
                ),
            )
            for index, item in enumerate(components)
        ),
        (
            "the platform: objects carry their own sync waves",
            _application(
                platform.spec.name,
                "default",
                wave=0,
                source={
                    "repoURL": destination.repo_url,
                    "path": destination.path,
                    "targetRevision": "HEAD",
                    "directory": {"recurse": True, "exclude": "{argocd/*,components/*}"},
                },
            ),
        ),
    ]


def _application(name: str, namespace: str, *, wave: int, source: Mapping[str, Any]) -> dict[str, Any]:
    """argoproj.io/v1alpha1 Application (argo-cd docs/operator-manual/application.yaml)."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/sync-wave": str(wave)},
        },
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            "source": dict(source),
            "syncPolicy": {
                "automated": {"prune": False, "selfHeal": True},
                # KEDA's and KServe's CRDs exceed the 262144 bytes of the client-side apply annotation.
                "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"],
            },
        },
    }


def _flux_kustomizations(manifests: Mapping[str, str]) -> dict[str, str]:
    by_wave: dict[str, list[str]] = {}
    for path in sorted(manifests):
        folder, _, name = path.partition("/")
        by_wave.setdefault(folder, []).append(name)
    return {
        f"{folder}/kustomization.yaml": dump({**_KUSTOMIZATION, "resources": names})
        for folder, names in by_wave.items()
    }


def _flux(
    platform: ResolvedPlatform,
    objects: Sequence[Emitted],
    components: Sequence[ComponentPlan],
    destination: Destination,
) -> list[tuple[str, Mapping[str, Any]]]:
    name = platform.spec.name
    documents: list[tuple[str, Mapping[str, Any]]] = [
        (
            "the repository that holds this folder",
            _flux_object(
                "source.toolkit.fluxcd.io/v1",
                "GitRepository",
                name,
                {"interval": "5m", "url": destination.repo_url, "ref": {"branch": "main"}},
            ),
        )
    ]
    for item in components:
        repository = {"interval": "1h", "url": item.repository}
        if item.repository.startswith("oci://"):
            repository["type"] = "oci"
        documents += [
            (
                f"chart repository of {item.name}",
                _flux_object("source.toolkit.fluxcd.io/v1", "HelmRepository", item.name, repository),
            ),
            (
                f"component {item.name}: {item.why}",
                _flux_object("helm.toolkit.fluxcd.io/v2", "HelmRelease", item.name, _helm_release(item)),
            ),
        ]
    previous: list[dict[str, str]] = []
    for wave in sorted({entry.wave for entry in objects}):
        spec: dict[str, Any] = {
            "interval": "10m",
            "path": f"{destination.path.rstrip('/')}/{wave_directory(wave)}",
            "prune": False,
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": name},
        }
        if previous:
            spec["dependsOn"] = previous
        title = f"{name}-{wave_directory(wave)}"
        documents.append(
            (
                f"wave {int(wave)}",
                _flux_object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", title, spec),
            )
        )
        previous = [{"name": title}]
    return documents


def _helm_release(item: ComponentPlan) -> dict[str, Any]:
    """helm.toolkit.fluxcd.io/v2 (fluxcd/helm-controller docs/spec/v2/helmreleases.md)."""
    spec: dict[str, Any] = {
        "interval": "1h",
        "releaseName": item.release,
        "targetNamespace": item.namespace,
        "install": {"createNamespace": True, "crds": "CreateReplace"},
        "upgrade": {"crds": "CreateReplace"},
        "chart": {
            "spec": {
                "chart": item.chart,
                "version": item.version,
                "sourceRef": {"kind": "HelmRepository", "name": item.name},
            }
        },
        "values": item.values,
    }
    if item.depends_on:
        spec["dependsOn"] = [{"name": other} for other in item.depends_on]
    return spec


def _flux_object(api_version: str, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": dict(spec),
    }
