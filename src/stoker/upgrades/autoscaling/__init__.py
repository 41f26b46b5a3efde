"""Upgrade 3: what moves replica counts."""

from stoker.upgrades.autoscaling.compiler import compile_autoscaling

__all__ = ["compile_autoscaling"]
