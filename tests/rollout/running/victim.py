"""Rolls out, or back, and kills itself with SIGKILL at a given request that writes."""

import sys
from pathlib import Path

from tests.apply.running.victim import Deadly, transport
from tests.rollout.running.things import roll

from stoker.cli.rollout_told import take_back
from stoker.kube.cluster import Cluster, open_cluster
from stoker.rollout.state import Done


def carry_out(cluster: Cluster, command: str) -> None:
    if command == "rollback":
        _, left = take_back(cluster, timeout=6000.0)
        assert not left, left
        return
    _, end = roll(cluster)
    assert isinstance(end, Done), end


if __name__ == "__main__":
    _, where, what, number, moment = sys.argv
    deadly = Deadly(transport(Path(where)), int(number), answered=moment == "answered")
    with open_cluster(kubeconfig=where, transport=deadly) as opened:
        carry_out(opened, what)
    sys.stdout.write(f"{deadly.count}\n")
