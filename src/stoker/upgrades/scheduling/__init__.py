"""Upgrade 1: pods land on the right GPUs, share nodes well, start, drain and move without dead-locks."""

from stoker.upgrades.scheduling.compiler import compile_scheduling
from stoker.upgrades.scheduling.containers import (
    PRE_STOP_SECONDS,
    container_resources,
    container_security,
    lifecycle,
    probes,
    shared_memory,
)
from stoker.upgrades.scheduling.identity import service_account_name
from stoker.upgrades.scheduling.nodes import NodePlan, node_plan
from stoker.upgrades.scheduling.placement import grace_seconds, pod_placement, rolling_update

__all__ = [
    "PRE_STOP_SECONDS",
    "NodePlan",
    "compile_scheduling",
    "container_resources",
    "container_security",
    "grace_seconds",
    "lifecycle",
    "node_plan",
    "pod_placement",
    "probes",
    "rolling_update",
    "service_account_name",
    "shared_memory",
]
