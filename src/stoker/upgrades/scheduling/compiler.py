"""Every object of upgrade 1."""

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted
from stoker.upgrades.scheduling.claims import compile_claims
from stoker.upgrades.scheduling.disruption import compile_disruption_budgets
from stoker.upgrades.scheduling.identity import compile_service_accounts
from stoker.upgrades.scheduling.nodes import compile_node_pools
from stoker.upgrades.scheduling.second_scheduler import compile_second_scheduler

__all__ = ["compile_scheduling"]


def compile_scheduling(platform: ResolvedPlatform) -> list[Emitted]:
    """ServiceAccounts, disruption budgets, DRA objects, the node contract and the bin-packing scheduler."""
    return [
        *compile_node_pools(platform),
        *compile_second_scheduler(platform),
        *compile_claims(platform),
        *compile_service_accounts(platform),
        *compile_disruption_budgets(platform),
    ]
