"""Every object of upgrade 4."""

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted
from stoker.upgrades.tenancy.access import compile_access
from stoker.upgrades.tenancy.admission import compile_admission
from stoker.upgrades.tenancy.defaults import compile_limit_ranges
from stoker.upgrades.tenancy.namespaces import compile_namespaces
from stoker.upgrades.tenancy.network import compile_network
from stoker.upgrades.tenancy.priorities import compile_priorities
from stoker.upgrades.tenancy.queues import compile_queues
from stoker.upgrades.tenancy.quotas import compile_quotas

__all__ = ["compile_tenancy"]


def compile_tenancy(platform: ResolvedPlatform) -> list[Emitted]:
    """Namespaces, priorities, quotas, defaults, admission policies, roles, network policies and queues."""
    return [
        *compile_namespaces(platform),
        *compile_priorities(platform),
        *compile_quotas(platform),
        *compile_limit_ranges(platform),
        *compile_admission(platform),
        *compile_access(platform),
        *compile_network(platform),
        *compile_queues(platform),
    ]
