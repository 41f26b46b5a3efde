"""`stoker rbac`: the rights that each command needs, as roles to apply."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stoker.cli.output import Output, OutputOption, out, print_json, table
from stoker.errors import InputError, Problem

__all__ = ["rbac"]


def rbac(
    command: Annotated[
        str | None,
        typer.Argument(
            help="Such as apply, `plan --offline-diff`, `rollout run`; a list where absent.",
            show_default=False,
        ),
    ] = None,
    *,
    platform: Annotated[
        Path | None,
        typer.Option(
            "--platform",
            help="Only the kinds of this platform file.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            help="Bind to it too: User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the ClusterRole and the Role that a command needs, and nothing more.

    A dry run of the server needs the rights to create and patch, although it writes nothing; `--offline-diff` reads only.

    Examples:

        stoker rbac

        stoker rbac apply --platform platform.yaml --subject ServiceAccount:ci/deployer | kubectl apply -f -

        stoker rbac "plan --offline-diff"

        stoker rbac "rollout run --set-nodes" --platform platform.yaml
    """
    from stoker.cli.rights import commands
    from stoker.render.yaml_text import dump

    known = commands()
    if command is None:
        rows = [[name, one.verbs, one.why] for name, one in known.items()]
        table(["command", "verbs on what it applies", "why"], rows)
        return
    if command not in known:
        wanted = ", ".join(known)
        raise InputError(
            [Problem("is no command that touches a cluster", path="COMMAND", found=command, wanted=wanted)]
        )
    roles = known[command].roles(_kinds(platform))
    roles += [_binding(role, subject) for role in roles if "rules" in role] if subject else []
    if output is Output.JSON:
        print_json({"apiVersion": "v1", "kind": "List", "items": roles})
    else:
        out().file.write("---\n".join(dump(role) for role in roles))


def _kinds(platform: Path | None) -> set[str]:
    """Of a platform's objects; none where every kind is meant."""
    from stoker.kube.refs import ref_of

    if platform is None:
        return set()
    from stoker.cli.plan import wanted

    return {ref_of(item.object).resource for item in wanted(str(platform))[1]}


def _binding(role: dict[str, Any], subject: str) -> dict[str, Any]:
    kind, _, name = subject.partition(":")
    namespace, _, account = name.partition("/")
    if kind in {"User", "Group"} and name:
        who = {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    elif kind == "ServiceAccount" and namespace and account:
        who = {"kind": kind, "name": account, "namespace": namespace}
    else:
        wanted = "User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME"
        raise InputError([Problem("names nobody", path="--subject", found=subject, wanted=wanted)])
    place = {"namespace": role["metadata"]["namespace"]} if "namespace" in role["metadata"] else {}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{role['kind']}Binding",
        "metadata": {"name": role["metadata"]["name"], **place},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": role["kind"],
            "name": role["metadata"]["name"],
        },
        "subjects": [who],
    }
