"""The roles that `stoker rbac` prints: each suffices for its command, and reading needs read rights only."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apply.running.things import Kubectl, stoker
from tests.conftest import REPOSITORY

from stoker.apply.rights import COMMANDS, KINDS
from stoker.kube.cluster import open_cluster

GUIDE = REPOSITORY / "examples" / "guide.yaml"
WRITES = {"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate"}


class Account:
    """A ServiceAccount with the roles of one command, and its kubeconfig."""

    def __init__(self, kubectl: Kubectl, folder: Path, command: str) -> None:
        self.name = command.replace(" --", "-").replace(" ", "-")
        kubectl("create", "serviceaccount", self.name, "-n", "ci")
        roles = stoker(
            "rbac", command, "--subject", f"ServiceAccount:ci/{self.name}", "--output", "json"
        ).stdout
        kubectl("apply", "-f", "-", body=json.loads(roles))
        config = json.loads(kubectl.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": kubectl("create", "token", self.name, "-n", "ci").strip()}
        self.kubeconfig = folder / f"{self.name}.kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return stoker(*arguments, "--kubeconfig", self.kubeconfig, check=False)


class Accounts(dict[str, Account]):
    """Made when they are first asked for."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        super().__init__()
        self.kubectl, self.folder = kubectl, folder

    def __missing__(self, command: str) -> Account:
        self[command] = Account(self.kubectl, self.folder, command)
        return self[command]


@pytest.fixture(scope="module")
def account(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Account]]:
    kubectl("create", "namespace", "ci")
    folder = tmp_path_factory.mktemp("accounts")
    yield Accounts(kubectl, folder)
    for name in [command.replace(" --", "-") for command in [*COMMANDS, "audit"]]:
        kubectl("delete", "clusterrole,clusterrolebinding", f"stoker-{name}", "--ignore-not-found")
    kubectl("delete", "namespace", "ci", "stoker-system", "--ignore-not-found")


@pytest.mark.slow
def test_each_role_suffices_for_its_command(account: dict[str, Account]) -> None:
    planned = account["plan"].run("plan", GUIDE)
    assert 1 == planned.returncode, planned.stderr
    drift = account["diff"].run("diff", GUIDE, "--exit-code")
    assert 1 == drift.returncode, drift.stderr
    applied = account["apply"].run("apply", GUIDE, "--no-wait", "--yes")
    assert 0 == applied.returncode, applied.stderr
    assert 0 == account["plan"].run("plan", GUIDE).returncode
    back = account["rollback"].run("rollback", "--yes", "--delete-claims", "--timeout", "5s")
    assert "is forbidden" not in back.stderr
    assert back.returncode in {0, 1}, back.stderr
    again = account["apply"].run("apply", GUIDE, "--no-wait", "--yes")
    assert 0 == again.returncode, again.stderr
    gone = account["uninstall"].run("uninstall", "--yes", "--delete-claims")
    assert "is forbidden" not in gone.stderr
    assert gone.returncode in {0, 1}, gone.stdout + gone.stderr
    audited = stoker("audit", "--kubeconfig", account["audit"].kubeconfig, check=False)
    assert audited.returncode in {0, 1}, audited.stderr


@pytest.mark.parametrize("command", ["plan --offline-diff", "diff --offline-diff", "audit"])
def test_what_reads_has_no_right_to_write(command: str) -> None:
    roles = json.loads(stoker("rbac", command, "--output", "json").stdout)["items"]

    assert not WRITES & {verb for role in roles for rule in role.get("rules", ()) for verb in rule["verbs"]}


def test_a_plan_by_read_rights_alone_says_how_it_judged(account: dict[str, Account]) -> None:
    done = account["plan --offline-diff"].run("plan", GUIDE, "--offline-diff")

    assert 1 == done.returncode, done.stderr
    assert "judged by managedFields: defaults and admission do not count" in done.stdout
    assert 1 == account["diff --offline-diff"].run("diff", GUIDE, "--offline-diff", "--exit-code").returncode


def test_a_missing_right_is_named_with_the_way_round_it(account: dict[str, Account]) -> None:
    done = account["plan --offline-diff"].run("plan", GUIDE)

    assert 2 == done.returncode
    assert "cannot patch resource" in done.stderr
    assert "--offline-diff" in done.stderr
    refused = account["plan"].run("apply", GUIDE, "--yes")
    assert 2 == refused.returncode
    assert 'cannot get resource "leases"' in refused.stderr
    assert "stoker rbac" in refused.stderr


def test_kinds_have_the_plurals_that_a_server_serves(kubeconfig: Path) -> None:
    with open_cluster(kubeconfig=str(kubeconfig)) as cluster:
        served = {resource.key: resource.plural for resource in cluster.resources.all}

    assert {} == {kind: plural for kind, plural in KINDS.items() if served.get(kind, plural) != plural}
    assert len(set(KINDS) & set(served)) > 35
