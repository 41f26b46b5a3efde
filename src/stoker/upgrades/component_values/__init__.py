"""Helm values of each component: pure builders from one small context, only keys that the pinned chart has."""

from stoker.upgrades.component_values.builders import values
from stoker.upgrades.component_values.context import ComponentContext, PoolSharing

__all__ = ["ComponentContext", "PoolSharing", "values"]
