"""Nodes of the lab: their shapes, the scheduler, the kubelets and what their containers run.

- `shapes`, `gpu_labels`: Node objects from ``48x8xA100-80GB`` or from a platform's pools.
- `scheduler` (with `view`, `queue`, `binding`, `profiles`, `device_claims`): kube-scheduler over the twin's decisions.
- `kubelet`: every node's kubelet in one controller. `pod_run` is a pod's course, with `containers`, `starting`, `images`,
  `environment`, `mounts`, `loading`, `probes` and `probing`, `statuses`; `fitting`, `memory`, `machines` and `heartbeats` are
  the node's own.
- `programs`, `scripts`, `serving_client`: what containers run: plain programs in this process, engines in the process beside it.
- `lifecycle`, `eviction`, `volumes`: the controllers that look after nodes, tainted nodes' pods, and claims.
"""

from stoker.lab.nodes.assembly import NodeOptions, attach, create_nodes, kubelet_log, kubelets_of, nodes
from stoker.lab.nodes.shapes import nodes_of_platform, parse_nodes

__all__ = [
    "NodeOptions",
    "attach",
    "create_nodes",
    "kubelet_log",
    "kubelets_of",
    "nodes",
    "nodes_of_platform",
    "parse_nodes",
]
