"""kube-scheduler 1.36's decisions over plain Kubernetes objects.

- `state`, `pods`, `profiles`: the cluster, parsed once. `schedule`: one try.
- `filters` (with `topology`, `volumes`, `claims`), `scores`, `preemption`: the plugins of the default profile.
- `claims`, `allocation`, `devices`, `cel`: DynamicResources. `matching`: volumes for claims.

All nodes are looked at in every try; the real scheduler samples above 100 nodes (percentageOfNodesToScore).
"""

from stoker.twin.scheduler.claims import take_devices
from stoker.twin.scheduler.profiles import DEFAULT_PROFILES, Profile, parse_profiles
from stoker.twin.scheduler.schedule import Decision, queue_key, schedule
from stoker.twin.scheduler.state import ClusterState
from stoker.twin.scheduler.volumes import bind_volumes

__all__ = [
    "DEFAULT_PROFILES",
    "ClusterState",
    "Decision",
    "Profile",
    "bind_volumes",
    "parse_profiles",
    "queue_key",
    "schedule",
    "take_devices",
]
