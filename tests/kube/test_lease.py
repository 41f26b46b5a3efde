"""One run at a time, against a lab: who holds is refused to others, who died is followed, who lost it stops."""

import subprocess
import sys
import time

import pytest

from stoker.errors import UnsafeError
from stoker.kube.cluster import Cluster
from stoker.kube.lease import Holder, hold
from stoker.kube.refs import Ref


def spec_of(cluster: Cluster, name: str) -> dict[str, object]:
    found = cluster.get(Ref("coordination.k8s.io/v1", "Lease", "door", name))
    assert found is not None
    spec: dict[str, object] = found["spec"]
    return spec


def gone() -> Holder:
    """A holder of this machine whose process has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = Holder.this_process()
    return Holder(here.user, here.host, ended.pid, "dead")


def test_a_lease_is_held_within_the_block_and_free_after_it(cluster: Cluster) -> None:
    with hold(cluster, "door", "plain", what="a test") as held:
        assert spec_of(cluster, "plain")["holderIdentity"] == str(held.holder)
        held.check()

    assert spec_of(cluster, "plain")["holderIdentity"] == ""
    with hold(cluster, "door", "plain", what="a test"):
        assert spec_of(cluster, "plain")["leaseTransitions"] == 1


def test_a_second_run_is_refused_while_the_first_one_renews(cluster: Cluster) -> None:
    with (
        hold(cluster, "door", "busy", what="a rollout", duration=1.5) as held,
        pytest.raises(UnsafeError, match=r"a rollout is running: .* holds Lease door/busy"),
        hold(cluster, "door", "busy", what="a rollout"),
    ):
        pass
    assert not held.lost.is_set()


def test_a_holder_killed_on_this_machine_is_followed_at_once(cluster: Cluster) -> None:
    told: list[str] = []
    cluster.apply(_lease("killed", str(gone()), 3600))

    with hold(cluster, "door", "killed", what="a test", told=told.append):
        pass
    assert told == []


def test_a_holder_elsewhere_is_followed_when_its_record_has_not_changed_for_its_duration(
    cluster: Cluster,
) -> None:
    told: list[str] = []
    cluster.apply(_lease("far", "someone@elsewhere/1/x", 2))
    began = time.monotonic()

    with hold(cluster, "door", "far", what="a test", told=told.append):
        assert time.monotonic() - began > 2
    assert told[0] == "someone@elsewhere/1/x held a test; waiting whether it still does"


def test_a_run_whose_lease_was_taken_is_stopped_at_its_next_step(cluster: Cluster) -> None:
    with hold(cluster, "door", "stolen", what="a test", duration=0.6) as held:
        cluster.patch(
            Ref("coordination.k8s.io/v1", "Lease", "door", "stolen"),
            {"spec": {"holderIdentity": "thief@elsewhere/1/x"}},
        )
        assert held.lost.wait(20)
        with pytest.raises(UnsafeError, match="lost its lease"):
            held.check()
    assert spec_of(cluster, "stolen")["holderIdentity"] == "thief@elsewhere/1/x"


def _lease(name: str, holder: str, seconds: int) -> dict[str, object]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "door"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds},
    }
