"""The two documents beside the rendered objects: README.md (what is here, how to apply it) and NODES.md."""

import json
from collections.abc import Iterable, Sequence

from stoker.platform.serving import ServingMode
from stoker.render.layout import wave_directory
from stoker.render.yaml_text import dump
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.components import ComponentPlan
from stoker.upgrades.objects import Emitted, Wave
from stoker.upgrades.scheduling import NodePlan
from stoker.upgrades.serving.knative import KNATIVE_FEATURES

__all__ = ["nodes_md", "readme_md"]

_APPLY = {
    "plain": "kubectl apply --server-side --field-manager=stoker -R -f .",
    "kustomize": "kubectl apply --server-side --field-manager=stoker -k .",
    "argocd": "kubectl apply -f argocd/  # once; Argo CD applies the rest from git, wave by wave",
    "flux": "kubectl apply -f flux/  # once; Flux applies the rest from git, wave by wave",
}


def readme_md(
    platform: ResolvedPlatform, objects: Sequence[Emitted], components: Sequence[ComponentPlan], form: str
) -> str:
    """What a reviewer reads first."""
    lines = [
        f"# {platform.spec.name}",
        "",
        f"Rendered by Stoker for Kubernetes {platform.spec.cluster.version}. Do not edit: change the platform file and",
        "render again. Every `.yaml` file holds Kubernetes objects; each object says why it exists.",
        "",
        "## Models",
        "",
        "| model | tenant | pool | layout | GPUs a replica | replicas | full-length sequences a replica |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {model.name} | {model.tenant.name} | {model.pool.name} | TP{model.tensor} PP{model.pipeline} "
            f"| {model.gpus_per_replica} × `{model.slice.resource}` | {model.min_replicas} to {model.max_replicas} "
            f"| {model.max_sequences} |"
            for model in platform.models.values()
        ),
        "",
        "Sequences and layouts are arithmetic from the catalogue, not measurements.",
        "",
        "## Order",
        "",
        "| wave | what | objects |",
        "| --- | --- | --- |",
        f"| 0 | components (Helm), see below | {len(components)} charts |",
        *_waves(objects),
        "",
        "## Components",
        "",
        *_components(components),
        "",
        *_knative(platform),
        "## Apply",
        "",
        "Label and taint the nodes first: `NODES.md`.",
        "",
        "```sh",
        _APPLY[form],
        "```",
    ]
    if platform.notes:
        lines += [
            "",
            "## Notes",
            "",
            *(f"- **{note.severity.value}** `{note.path}`: {note.message}" for note in platform.notes),
        ]
    return "\n".join(lines) + "\n"


def _waves(objects: Iterable[Emitted]) -> list[str]:
    counts: dict[Wave, dict[str, int]] = {}
    for item in objects:
        kinds = counts.setdefault(item.wave, {})
        kinds[item.key[1]] = kinds.get(item.key[1], 0) + 1
    return [
        f"| {int(wave)} | `{wave_directory(wave)}/` | {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))} |"
        for wave, kinds in sorted(counts.items())
    ]


def _components(components: Sequence[ComponentPlan]) -> list[str]:
    if not components:
        return ["None: the platform file says that the cluster has them all."]
    rows = [
        "| component | version | namespace | why |",
        "| --- | --- | --- | --- |",
        *(f"| {item.name} | {item.version} | `{item.namespace}` | {item.why} |" for item in components),
        "",
        "Install them in this order (values files end in `.values` so that `kubectl apply -R` passes them by):",
        "",
        "```sh",
        *(" ".join(item.install_command(f"components/{item.name}.values")) for item in components),
        "```",
    ]
    notes = [f"- {item.name}: {item.compatibility}" for item in components if item.compatibility]
    return [*rows, *(["", *notes] if notes else [])]


def _knative(platform: ResolvedPlatform) -> list[str]:
    """What the Knative operator must be told; the object is its own, and its CRD comes with its chart.

    Source: knative.dev/docs/install/operator/configuring-serving-cr (``spec.config`` names ConfigMaps without the prefix).
    """
    if not any(model.mode is ServingMode.KNATIVE for model in platform.models.values()):
        return []
    serving = {
        "apiVersion": "operator.knative.dev/v1beta1",
        "kind": "KnativeServing",
        "metadata": {"name": "knative-serving", "namespace": "knative-serving"},
        "spec": {
            "ingress": {"kourier": {"enabled": True}},
            "config": {"features": dict.fromkeys(KNATIVE_FEATURES, "enabled")},
        },
    }
    return [
        "The Knative operator installs nothing by itself. Create the namespace `knative-serving`, then apply this once; the",
        "features let revisions carry what GPU pods need:",
        "",
        "```yaml",
        dump(serving).rstrip(),
        "```",
        "",
    ]


def nodes_md(plans: Sequence[NodePlan]) -> str:
    """Labels and taints by pool, with the commands that set them on nodes that stand already."""
    lines = [
        "# Nodes",
        "",
        "Set these in the node group (Terraform, Karpenter, Cluster API, eksctl …) so that replaced nodes carry them too.",
        "The commands do the same once, for nodes that stand already.",
    ]
    for plan in plans:
        lines += ["", f"## Pool {plan.pool}", "", "```json"]
        lines += [json.dumps({"labels": plan.labels, "taints": plan.taints}, indent=2), "```", "", "```sh"]
        if plan.labels:
            pairs = " ".join(f"{key}={value}" for key, value in plan.labels.items())
            lines.append(f"kubectl label nodes -l {plan.selector!r} {pairs} --overwrite")
        for taint in plan.taints:
            value = f"={taint['value']}" if taint.get("value") else ""
            lines.append(
                f"kubectl taint nodes -l {plan.selector!r} {taint['key']}{value}:{taint['effect']} --overwrite"
            )
        lines += ["```"]
    return "\n".join(lines) + "\n"
