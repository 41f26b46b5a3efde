"""Which kinds a role covers."""

from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

from stoker.apply.rights import COMMANDS, KINDS, rights
from stoker.kube.refs import ref_of
from stoker.platform.load import load_document
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform


@pytest.mark.parametrize("file", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_kind_of_the_examples_is_covered(file: Path) -> None:
    objects = compile_platform(resolve(load_document(file, file=file.name).platform))

    assert {ref_of(item.object).resource for item in objects} <= set(KINDS)


def test_a_platform_narrows_the_role_to_its_kinds() -> None:
    _, cluster_role, _ = rights("plan", {"ConfigMap", "Deployment.apps"})

    assert [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "create", "patch"]},
    ] == cluster_role["rules"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_role_reads_values_of_secrets(command: str) -> None:
    named = [
        rule for role in rights(command) for rule in role.get("rules", ()) if "secrets" in rule["resources"] or (
            "*" in rule["resources"] and set(rule["verbs"]) != {"list"})
    ]  # fmt: skip

    assert [] == named
