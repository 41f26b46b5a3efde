"""The kinds that run, or are what runs: pods and what makes them, nodes, namespaces.

`STATUS_CAUSES` are causes for which a write of the status subresource is refused, beside those of every kind's metadata.
"""

from collections.abc import Callable

from stoker.lab.kinds.jobs import JOB
from stoker.lab.kinds.jobs_cron import CRON_JOB
from stoker.lab.kinds.metadata import object_meta_update_causes
from stoker.lab.kinds.namespaces import NAMESPACE, namespace_status_causes
from stoker.lab.kinds.nodes import NODE, node_status_causes
from stoker.lab.kinds.pods import POD, pod_status_causes
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import POD_TEMPLATE, REPLICATION_CONTROLLER
from stoker.lab.kinds.workloads import (
    DEPLOYMENT,
    REPLICA_SET,
    deployment_status_causes,
    replica_set_status_causes,
)
from stoker.lab.kinds.workloads_revisions import CONTROLLER_REVISION
from stoker.lab.kinds.workloads_sets import (
    DAEMON_SET,
    STATEFUL_SET,
    daemon_set_status_causes,
    stateful_set_status_causes,
)
from stoker.lab.status import Cause

__all__ = ["STATUS_CAUSES", "STRATEGIES"]

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "Pod"): POD,
    ("", "PodTemplate"): POD_TEMPLATE,
    ("", "ReplicationController"): REPLICATION_CONTROLLER,
    ("", "Node"): NODE,
    ("", "Namespace"): NAMESPACE,
    ("apps", "Deployment"): DEPLOYMENT,
    ("apps", "ReplicaSet"): REPLICA_SET,
    ("apps", "StatefulSet"): STATEFUL_SET,
    ("apps", "DaemonSet"): DAEMON_SET,
    ("apps", "ControllerRevision"): CONTROLLER_REVISION,
    ("batch", "Job"): JOB,
    ("batch", "CronJob"): CRON_JOB,
}

STATUS_CAUSES: dict[tuple[str, str], Callable[[Object, Object], list[Cause]]] = {
    ("", "Pod"): pod_status_causes,
    ("", "ReplicationController"): replica_set_status_causes,
    ("", "Node"): node_status_causes,
    ("", "Namespace"): namespace_status_causes,
    ("apps", "Deployment"): deployment_status_causes,
    ("apps", "ReplicaSet"): replica_set_status_causes,
    ("apps", "StatefulSet"): stateful_set_status_causes,
    ("apps", "DaemonSet"): daemon_set_status_causes,
    ("batch", "Job"): object_meta_update_causes,
    ("batch", "CronJob"): lambda _new, _old: [],
}
