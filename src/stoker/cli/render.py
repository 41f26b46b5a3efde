"""`stoker render`: the platform file becomes files."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.files import write_tree
from stoker.cli.output import Output, OutputOption, err, out, print_json, table
from stoker.cli.platform_file import FileArgument, print_notes, read_platform

if TYPE_CHECKING:
    from stoker.render.formats import Rendering

__all__ = ["Format", "render"]


class Format(StrEnum):
    PLAIN = "plain"
    KUSTOMIZE = "kustomize"
    ARGOCD = "argocd"
    FLUX = "flux"


def render(
    file: FileArgument,
    *,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write; without it the objects go to standard output."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Layout of the files.")] = Format.PLAIN,
    repo_url: Annotated[
        str,
        typer.Option(
            help="Git repository that will hold the folder, for argocd and flux.", envvar="STOKER_REPO_URL"
        ),
    ] = "",
    repo_path: Annotated[str, typer.Option(help="Path of the folder within that repository.")] = ".",
    explain: Annotated[
        bool, typer.Option("--explain", help="List every object with the reason it exists.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that Stoker did not write.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Compile a platform file to every Kubernetes object of the five upgrades.

    Examples:

        stoker render examples/guide.yaml --out out/guide

        stoker render platform.yaml --out deploy --format argocd --repo-url https://git.example.com/ai/deploy.git

        stoker render platform.yaml --explain

        stoker render platform.yaml | kubectl diff -f -
    """
    from stoker.render.formats import Destination, render_files
    from stoker.render.layout import stream

    platform = read_platform(file)
    rendering = render_files(platform, form.value, Destination(repo_url=repo_url, path=repo_path))
    print_notes(platform.notes)
    removed = write_tree(out_dir, rendering.files, force=force) if out_dir else []
    if output is Output.JSON:
        print_json(_summary(rendering, out_dir, removed))
    elif explain:
        table(
            ("wave", "upgrade", "kind", "namespace", "name", "reason"),
            [
                (int(item.wave), item.upgrade.value, item.key[1], item.key[2], item.key[3], item.reason)
                for item in rendering.objects
            ],
        )
    elif out_dir is None:
        out().file.write(stream(rendering.objects))
    if out_dir is not None and output is Output.TEXT:
        _report(rendering, out_dir, removed)


def _summary(rendering: "Rendering", out_dir: Path | None, removed: list[str]) -> dict[str, Any]:
    return {
        "out": str(out_dir) if out_dir else None,
        "format": rendering.format,
        "files": sorted(rendering.files),
        "removed": removed,
        "objects": [
            {
                "wave": int(item.wave),
                "upgrade": item.upgrade.value,
                "apiVersion": item.key[0],
                "kind": item.key[1],
                "namespace": item.key[2],
                "name": item.key[3],
                "reason": item.reason,
                "file": rendering.paths.get(item.key),
            }
            for item in rendering.objects
        ],
        "components": [{"name": item.name, "version": item.version} for item in rendering.components],
        "notes": [
            {"severity": note.severity.value, "path": note.path, "message": note.message, "fix": note.fix}
            for note in rendering.notes
        ],
    }


def _report(rendering: "Rendering", out_dir: Path, removed: list[str]) -> None:
    counts: dict[str, int] = {}
    for item in rendering.objects:
        counts[item.upgrade.value] = counts.get(item.upgrade.value, 0) + 1
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    console = err()
    console.print(f"{len(rendering.objects)} objects ({parts}) in {len(rendering.files)} files", markup=False)
    if removed:
        console.print(f"removed {len(removed)} files of an earlier render", markup=False)
    console.print(f"read {out_dir / 'README.md'} next", markup=False)
