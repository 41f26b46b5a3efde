"""Plan, apply and take back, on a cluster in which a user has things already."""

from pathlib import Path

import httpx2
import pytest
from tests.apply.running.things import (
    REPLACE,
    TAKES,
    Kubectl,
    config_map,
    deployment,
    emitted,
    namespace,
    priority,
    state_of,
    wanted,
)
from tests.apply.running.victim import transport

from stoker.apply.asked import Allowed, parse_takes
from stoker.apply.back import plan_rollback, plan_uninstall, rollback, uninstall
from stoker.apply.changes import Action, Checked, Plan, RiskKind
from stoker.apply.events import Done, Told
from stoker.apply.plan import plan_changes
from stoker.apply.run import apply_plan
from stoker.apply.store import Store
from stoker.apply.undo import Spared, UndoKind
from stoker.errors import UnsafeError
from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Ref
from stoker.upgrades.objects import Emitted, Upgrade, Wave

ALLOWED = Allowed(parse_takes(TAKES), REPLACE)
SETTINGS = Ref("v1", "ConfigMap", "theirs", "settings")


def planned(cluster: Cluster, objects: list[Emitted] | None = None, **options: object) -> Plan:
    return plan_changes(
        cluster, wanted() if objects is None else objects, name="test",
        **{"allowed": ALLOWED, "entries": Store(cluster).entries.values(), **options},  # type: ignore[arg-type]
    )  # fmt: skip


def applied(cluster: Cluster, objects: list[Emitted] | None = None, **options: object) -> list[Told]:
    told: list[Told] = []
    done = apply_plan(cluster, planned(cluster, objects, **options), progress=told.append, timeout=3000)
    assert done.is_complete, done
    return told


def test_a_plan_says_what_happens_to_each_object_and_changes_nothing(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    before = state_of(kubectl)

    plan = planned(cluster)

    assert {
        "Namespace ours": (Action.CREATE, Checked.SERVER),
        "PriorityClass ours-and-theirs": (Action.REPLACE, Checked.FIELDS),
        "ConfigMap ours/new-0": (Action.CREATE, Checked.OFFLINE),
        "ConfigMap ours/new-1": (Action.CREATE, Checked.OFFLINE),
        "ConfigMap ours/new-2": (Action.CREATE, Checked.OFFLINE),
        "ConfigMap theirs/settings": (Action.UPDATE, Checked.SERVER),
        "Deployment ours/engine": (Action.CREATE, Checked.OFFLINE),
        "Deployment theirs/web": (Action.UPDATE, Checked.SERVER),
        "ConfigMap ours/dashboard": (Action.CREATE, Checked.OFFLINE),
    } == {str(change.ref): (change.action, change.checked) for change in plan.changes}
    assert before == state_of(kubectl)
    assert "lab at 10 times the wall's speed" == plan.measured_on


def test_fields_of_others_block_the_plan_with_owner_both_values_and_the_way_to_take_them(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    plan = planned(cluster, allowed=Allowed(replace=REPLACE))

    settings, web = (next(c for c in plan.changes if c.ref.name == name) for name in ("settings", "web"))
    assert [(".data.level", "kubectl-client-side-apply", "low", "high")] == [
        (c.field, c.manager, c.theirs, c.ours) for c in settings.conflicts
    ]
    assert "kubectl apply" in settings.conflicts[0].hint
    assert [(".spec.replicas", "their-gitops", 1, 2)] == [
        (c.field, c.manager, c.theirs, c.ours) for c in web.conflicts
    ]
    assert "--take Deployment/theirs/web:.spec.replicas" == web.fix
    before = state_of(kubectl)
    with pytest.raises(UnsafeError, match="nothing was changed"):
        apply_plan(cluster, plan)
    assert before == state_of(kubectl)


def test_what_cannot_be_changed_in_place_is_replaced_only_where_it_was_named(cluster: Cluster) -> None:
    plan = planned(cluster, [emitted(Wave.POLICY, priority(9))], allowed=Allowed())

    (change,) = plan.changes
    assert Action.REPLACE == change.action
    assert "value cannot be changed in place" in change.blocked
    assert "--replace PriorityClass/ours-and-theirs" == change.fix
    assert [RiskKind.DISRUPTIVE] == [risk.kind for risk in change.risks]


def test_the_selector_of_a_deployment_and_the_template_of_a_job_cannot_be_changed_in_place(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "copy", "namespace": "theirs"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "registry.k8s.io/pause:3.10"}]}}},
    }  # fmt: skip
    kubectl("apply", "-f", "-", body=job)
    other = deployment("web", "theirs", 1)
    other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    changed = {**job, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
        {"name": "c", "image": "registry.k8s.io/pause:3.9"}]}}}}  # fmt: skip

    plan = planned(
        cluster, [emitted(Wave.WORKLOADS, other), emitted(Wave.STORAGE, changed)], allowed=Allowed()
    )

    assert {"Deployment theirs/web": Action.REPLACE, "Job theirs/copy": Action.REPLACE} == {
        str(change.ref): change.action for change in plan.changes
    }
    assert all("--replace" in change.fix for change in plan.changes)


def test_apply_brings_everything_about_and_a_second_one_finds_nothing_to_do(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    told = applied(cluster)

    assert 9 == sum(isinstance(one, Done) for one in told)
    assert {"level": "high", "colour": "red", "size": "big"} == kubectl.json(
        "get", "configmap", "settings", "-n", "theirs"
    )["data"]
    assert 9 == kubectl.json("get", "priorityclass", "ours-and-theirs")["value"]
    kubectl("rollout", "status", "deployment/engine", "-n", "ours", "--timeout=300s")
    assert () == planned(cluster).changed
    done = apply_plan(cluster, planned(cluster))
    assert (0, True) == (done.run, done.is_complete)
    assert ["done"] == [run.state for run in Store(cluster).runs()]


def test_a_subset_by_upgrade_leaves_the_rest_for_later(cluster: Cluster) -> None:
    plan = planned(cluster)

    apply_plan(cluster, plan.only(upgrades=[Upgrade.TENANCY]))

    later = planned(cluster)
    assert {Upgrade.SERVING, Upgrade.OBSERVABILITY} == {change.upgrade for change in later.changed}


def test_a_kind_that_is_not_served_names_its_component(cluster: Cluster) -> None:
    queue = {
        "apiVersion": "kueue.x-k8s.io/v1beta9",
        "kind": "ClusterQueue",
        "metadata": {"name": "q"},
        "spec": {},
    }

    (change,) = planned(cluster, [emitted(Wave.POLICY, queue)]).changes

    assert "kueue" in change.blocked
    assert "stoker components" in change.fix


def test_uninstall_leaves_the_cluster_as_it_was_found(cluster: Cluster, kubectl: Kubectl) -> None:
    before = state_of(kubectl)
    applied(cluster)
    assert before != state_of(kubectl)

    done = uninstall(cluster)

    assert not [step for step in done.steps if step.kind is UndoKind.LEAVE]
    kubectl("wait", "--for=delete", "namespace/stoker-system", "--timeout=300s")
    assert before == state_of(kubectl)


def test_what_a_user_changed_after_us_is_left_and_told(cluster: Cluster, kubectl: Kubectl) -> None:
    applied(cluster)
    kubectl("patch", "configmap", "settings", "-n", "theirs", "-p", '{"data":{"level":"mine now"}}')
    kubectl("patch", "configmap", "new-1", "-n", "ours", "-p", '{"data":{"n":"changed"}}')
    kubectl("create", "configmap", "guest", "-n", "ours", "--from-literal=a=1")

    steps = {str(step.ref): step for step in uninstall(cluster).steps}

    assert (".data.level",) == steps["ConfigMap theirs/settings"].left
    assert "mine now" == kubectl.json("get", "configmap", "settings", "-n", "theirs")["data"]["level"]
    assert UndoKind.LEAVE == steps["ConfigMap ours/new-1"].kind
    assert "changed" == kubectl.json("get", "configmap", "new-1", "-n", "ours")["data"]["n"]
    assert "ConfigMap guest" in steps["Namespace ours"].why
    assert "configmap/guest" in kubectl("get", "configmap", "guest", "-n", "ours", "-o", "name")
    assert "NotFound" in kubectl("get", "configmap", "new-0", "-n", "ours", check=False)


def test_rollback_brings_back_the_state_before_a_run_and_can_be_taken_back_itself(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    applied(cluster)
    first = state_of(kubectl)
    second = [
        emitted(Wave.NAMESPACES, namespace("ours")),
        emitted(Wave.POLICY, config_map("new-0", "ours", n="other")),
        emitted(Wave.POLICY, config_map("later", "ours", n="x")),
    ]
    applied(cluster, second, prune=True)
    assert "NotFound" in kubectl("get", "configmap", "new-2", "-n", "ours", check=False)
    run, steps = plan_rollback(cluster)
    assert (2, UndoKind.RECREATE) == (
        run.number, next(step.kind for step in steps if step.ref.name == "new-2")
    )  # fmt: skip

    rollback(cluster)

    after = state_of(kubectl)
    for state in (first, after):
        for name in [name for name in state if "stoker-system" in name]:
            del state[name]
    assert first == after
    rollback(cluster, 1)
    assert "NotFound" in kubectl("get", "namespace", "ours", check=False)
    assert {"level": "low", "colour": "red"} == kubectl.json("get", "configmap", "settings", "-n", "theirs")[
        "data"
    ]


def test_prune_deletes_what_we_created_gives_back_what_we_changed_and_spares_the_rest(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "weights", "namespace": "ours"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"},
    }  # fmt: skip
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "weights"},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"},
                 "storageClassName": "none"},
    }  # fmt: skip
    try:
        applied(cluster, [*wanted(), emitted(Wave.STORAGE, volume), emitted(Wave.STORAGE, claim)])
        assert 10 == len(planned(cluster, [wanted()[0]]).strays)

        applied(cluster, [wanted()[0]], prune=True)

        assert "persistentvolumeclaim/weights" in kubectl("get", "pvc", "-n", "ours", "-o", "name")
        assert "NotFound" in kubectl("get", "deployment", "engine", "-n", "ours", check=False)
        settings = kubectl.json("get", "configmap", "settings", "-n", "theirs")
        assert {"level": "low", "colour": "red"} == settings["data"]
        assert ["kubectl-client-side-apply"] == [e["manager"] for e in settings["metadata"]["managedFields"]]
        again = planned(cluster, [wanted()[0]], prune=True)
        assert () == again.changed
        assert {"PersistentVolume weights", "PersistentVolumeClaim ours/weights"} == {
            str(change.ref)
            for change in again.changes
            if any("it holds data" in note for note in change.notes)
        }
        spared = Spared(claims=True, namespaces=False)
        assert UndoKind.DELETE == next(
            s.kind for s in plan_uninstall(cluster, spared=spared) if s.ref.kind == "PersistentVolumeClaim"
        )
    finally:
        kubectl("delete", "pvc", "weights", "-n", "ours", "--ignore-not-found")
        kubectl("delete", "pv", "weights", "--ignore-not-found")


def test_without_the_right_to_write_the_plan_is_judged_by_owned_fields(cluster: Cluster) -> None:
    by_server, by_fields = planned(cluster), planned(cluster, offline=True)

    assert {str(c.ref): c.action for c in by_fields.changes if c.action is not Action.REPLACE} == {
        str(c.ref): Action.UPDATE if c.action is Action.REPLACE else c.action for c in by_server.changes
    }
    assert [c.conflicts for c in by_server.changes if c.ref == SETTINGS] == [
        c.conflicts for c in by_fields.changes if c.ref == SETTINGS
    ]


def test_drift_is_seen_field_by_field(cluster: Cluster, kubectl: Kubectl) -> None:
    applied(cluster)
    kubectl("delete", "configmap", "new-0", "-n", "ours")
    kubectl("label", "namespace", "ours", "made-by=somebody", "--overwrite")

    drift = {str(c.ref): c for c in planned(cluster, allowed=Allowed()).changed}

    assert {"ConfigMap ours/new-0", "Namespace ours"} == set(drift)
    assert [(".metadata.labels.made-by", "kubectl-label", "somebody", "test")] == [
        (c.field, c.manager, c.theirs, c.ours) for c in drift["Namespace ours"].conflicts
    ]


def test_values_of_secrets_are_neither_shown_nor_recorded(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "token", "-n", "theirs", "--from-literal=key=old-hunter2")
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "theirs"},
        "stringData": {"key": "new-hunter2", "other": "third-hunter2"},
    }  # fmt: skip
    objects = [emitted(Wave.POLICY, secret)]
    takes = Allowed(parse_takes(["Secret/theirs/token:.data.key", "Secret/theirs/token:.stringData.key"]))
    from stoker.apply.document import plan_document

    plan = planned(cluster, objects, allowed=takes)
    apply_plan(cluster, plan)

    assert "hunter2" not in str(plan_document(plan))
    records = [run for number in (1,) for run in Store(cluster).touched(number)]
    entries = list(Store(cluster).entries.values())
    import base64

    for text in (str(records), str(entries)):
        for value in ("old-hunter2", "new-hunter2", "third-hunter2"):
            assert value not in text
            assert base64.b64encode(value.encode()).decode() not in text


def test_each_object_that_may_change_is_asked_about_once(cluster: Cluster, kubeconfig: Path) -> None:
    class Counting(httpx2.BaseTransport):
        def __init__(self, inner: httpx2.BaseTransport) -> None:
            self.inner, self.asked = inner, list[str]()

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.method == "PATCH":
                self.asked.append(request.url.path)
            return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    applied(cluster, [wanted()[0], *wanted()[2:5]])
    counting = Counting(transport(kubeconfig))
    changed = emitted(Wave.POLICY, config_map("new-0", "ours", n="other"))
    with open_cluster(kubeconfig=str(kubeconfig), transport=counting) as counted:
        plan = planned(counted, [wanted()[0], *wanted()[3:5], changed])

    assert 1 == len(plan.changed)
    assert ["/api/v1/namespaces/ours/configmaps/new-0"] == counting.asked
