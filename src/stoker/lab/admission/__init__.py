"""Admission: what changes or refuses a write between its body and the store, in the real server's order.

Source of the order: pkg/kubeapiserver/options/plugins.go (1.36). Plugins that are on by default and look at resources the
lab serves are here; webhooks are not called.
"""

from stoker.lab.access.rbac import Authorizer
from stoker.lab.admission.accounts import SERVICE_ACCOUNT, make_default_account
from stoker.lab.admission.escalation import role_escalation
from stoker.lab.admission.ingress_classes import default_ingress_class
from stoker.lab.admission.limits import limit_ranger
from stoker.lab.admission.namespaces import NAMESPACE_LIFECYCLE
from stoker.lab.admission.nodes import TAINT_NODES
from stoker.lab.admission.pod_security import POD_SECURITY
from stoker.lab.admission.policies import validating_admission_policy
from stoker.lab.admission.priorities import priority
from stoker.lab.admission.quotas import RESOURCE_QUOTA, refresh
from stoker.lab.admission.runtime_classes import RUNTIME_CLASS
from stoker.lab.admission.storage_classes import default_storage_class
from stoker.lab.admission.storage_protection import STORAGE_PROTECTION
from stoker.lab.admission.storage_resize import STORAGE_RESIZE
from stoker.lab.admission.tolerations import DEFAULT_TOLERATION_SECONDS
from stoker.lab.admission.topology import POD_TOPOLOGY_LABELS
from stoker.lab.admission.usage import recalculate
from stoker.lab.api.cluster import Plugin

__all__ = ["make_default_account", "plugins", "recalculate", "refresh"]


def plugins(authorizer: Authorizer) -> tuple[Plugin, ...]:
    """The plugins of one cluster, in order.

    Args:
        authorizer: knows what everybody may; it reads the cluster's own roles and bindings.
    """
    return (
        NAMESPACE_LIFECYCLE,
        limit_ranger(),
        SERVICE_ACCOUNT,
        TAINT_NODES,
        POD_SECURITY,
        priority(),
        DEFAULT_TOLERATION_SECONDS,
        default_storage_class(),
        STORAGE_PROTECTION,
        STORAGE_RESIZE,
        RUNTIME_CLASS,
        default_ingress_class(),
        POD_TOPOLOGY_LABELS,
        validating_admission_policy(),
        RESOURCE_QUOTA,
        # No plugin upstream: the storage of roles does it, when all have mutated.
        role_escalation(authorizer),
    )
