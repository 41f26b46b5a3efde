"""`stoker validate`: would an API server take these files, strictly and without a warning?"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoker.cli.output import Output, OutputOption, err, print_json
from stoker.errors import ExitCode, InputError, Problem, StokerError

if TYPE_CHECKING:
    from stoker.schemas.files import Checked

__all__ = ["validate"]


def validate(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders of YAML.", show_default=False)],
    *,
    crds: Annotated[
        list[Path] | None,
        typer.Option(
            "--crds", help="Folder of CRDs; may be repeated, the first definition of a kind counts."
        ),
    ] = None,
    kubernetes: Annotated[str, typer.Option(help="Kubernetes minor version to validate for.")] = "1.35",
    allow_unchecked: Annotated[
        bool, typer.Option("--allow-unchecked", help="Kinds without a schema are no reason for exit code 5.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Validate Kubernetes files as an API server would with fieldValidation=Strict: unknown fields are errors.

    Core kinds are checked against the official schemas of the version, custom kinds against the CRDs you name. Exits
    with 1 on findings, and with 5 where a kind has no schema and nothing can be said.

    Examples:

        stoker validate out/guide --crds ../shared/crds --kubernetes 1.36

        stoker validate deploy/ --allow-unchecked --output json
    """
    if (
        importlib.util.find_spec("kubernetes_validate") is None
        or importlib.util.find_spec("jsonschema_rs") is None
    ):
        raise StokerError("the schemas are not installed", fix="pip install 'stoker[validate]'")
    from stoker.schemas.core_schemas import MINORS
    from stoker.schemas.files import check_files

    if kubernetes not in MINORS:
        raise InputError(
            [
                Problem(
                    "is no version that schemas are here for",
                    path="--kubernetes",
                    found=kubernetes,
                    wanted=", ".join(MINORS),
                )
            ]
        )
    checked = check_files(paths, kubernetes, crds or [])
    if output is Output.JSON:
        print_json(_summary(checked))
    else:
        _report(checked)
    if checked.findings:
        raise typer.Exit(int(ExitCode.FINDINGS))
    if checked.unchecked and not allow_unchecked:
        raise typer.Exit(int(ExitCode.INCONCLUSIVE))


def _summary(checked: "Checked") -> dict[str, Any]:
    return {
        "kubernetes": checked.minor,
        "objects": checked.objects,
        "findings": [
            {"file": item.file, "object": item.subject, "message": item.message} for item in checked.findings
        ],
        "unchecked": checked.unchecked,
    }


def _report(checked: "Checked") -> None:
    console = err()
    for item in checked.findings:
        console.print(f"{item.file}: {item.subject}: {item.message}", markup=False)
    for kind, count in checked.unchecked.items():
        console.print(
            f"not checked: {count} of {kind}: no schema; name its CRD's folder with --crds", markup=False
        )
    known = checked.objects - sum(checked.unchecked.values())
    verdict = f"{len(checked.findings)} findings" if checked.findings else "no finding"
    console.print(
        f"{known} of {checked.objects} objects validated strictly for Kubernetes {checked.minor}: {verdict}",
        markup=False,
    )
