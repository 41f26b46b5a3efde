"""The roles that `stoker rbac` prints for rollouts: each suffices, and what only reads writes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apply.running.test_rights import WRITES, Account
from tests.apply.running.things import Kubectl
from tests.rollout.permitted import denied, recorded
from tests.rollout.running.things import roll, written

from stoker.cli.rights import commands
from stoker.cli.rollout_told import take_back
from stoker.kube.cluster import Cluster, open_cluster
from stoker.rollout.probes import KINDS
from stoker.rollout.rights import COMMANDS

_WAYS = [name for name in COMMANDS if name != "rollout run"]


@pytest.fixture
def account(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> Iterator[dict[str, Account]]:
    kubectl("create", "namespace", "ci")
    yield {command: Account(kubectl, tmp_path, command) for command in _WAYS}
    names = [command.replace(" --", "-").replace(" ", "-") for command in _WAYS]
    roles = [f"stoker-{name}" for name in names]
    kubectl("delete", "clusterrole,clusterrolebinding", *roles, "--ignore-not-found")
    kubectl("delete", "namespace", "ci")
    assert cluster.context


@pytest.mark.slow
def test_each_role_suffices_for_its_command(account: dict[str, Account], tmp_path: Path) -> None:
    file = written(tmp_path)
    run = account["rollout run --set-nodes"].run("rollout", "run", file, "--set-nodes")
    assert 0 == run.returncode, run.stderr
    for command, arguments in (
        ("rollout status", ("status",)),
        ("rollout gate", ("gate", file)),
        ("rollout pause", ("pause",)),
        ("rollout resume", ("resume",)),
        ("rollout rollback", ("rollback", "--yes")),
    ):
        done = account[command].run("rollout", *arguments)
        assert 0 == done.returncode, f"{command}: {done.stderr}"
        assert "forbidden" not in done.stderr

    refused = account["rollout status"].run("rollout", "run", file)
    assert 2 == refused.returncode
    assert 'cannot get resource "namespaces"' in refused.stderr


@pytest.mark.slow
def test_every_request_of_a_rollout_is_in_its_roles(cluster: Cluster) -> None:
    with recorded(cluster) as rolled:
        roll(cluster)
    with recorded(cluster) as back:
        take_back(cluster)

    assert [] == denied(rolled, "rollout run --set-nodes")
    assert {"nodes"} == {
        one.resource for one in denied(rolled, "rollout run")
    }  # that one sets no labels and taints
    assert [] == denied(back, "rollout rollback")
    assert denied(rolled, "rollout gate")


@pytest.mark.parametrize("command", ["rollout status", "rollout pause", "rollout resume"])
def test_what_only_looks_at_the_record_has_no_right_outside_it(command: str) -> None:
    roles = [role for role in commands()[command].roles(()) if "rules" in role]

    assert [("Role", "stoker-system")] == [(role["kind"], role["metadata"]["namespace"]) for role in roles]
    if command == "rollout status":
        assert not WRITES & {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]}


def test_gates_have_rights_on_what_they_make_and_write_nothing_else(kubeconfig: Path) -> None:
    with open_cluster(kubeconfig=str(kubeconfig)) as cluster:
        served = {(one.api_version, one.kind): (one.group, one.plural) for one in cluster.resources.all}
    made = {served[kind] for kind in KINDS}
    (role,) = [one for one in commands()["rollout gate"].roles(()) if one["kind"] == "ClusterRole"]
    writable = {
        (rule["apiGroups"][0], resource)
        for rule in role["rules"]
        if WRITES & set(rule["verbs"])
        for resource in rule["resources"]
        if not resource.endswith("/proxy")
    }

    assert made == writable
    allowed = [verb for rule in role["rules"] if "pods" in rule["resources"] for verb in rule["verbs"]]
    assert {"get", "list", "create", "delete", "watch"} == set(allowed)
