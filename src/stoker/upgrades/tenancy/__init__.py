"""Upgrade 4: who may use what, who yields to whom, who may talk to whom."""

from stoker.upgrades.tenancy.compiler import compile_tenancy
from stoker.upgrades.tenancy.queues import queue_labels

__all__ = ["compile_tenancy", "queue_labels"]
