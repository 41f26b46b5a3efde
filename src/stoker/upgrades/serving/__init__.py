"""Upgrade 2: models as versioned, routed, canaried services."""

from stoker.upgrades.serving.compiler import compile_serving
from stoker.upgrades.serving.engine import EngineCommand, engine_command

__all__ = ["EngineCommand", "compile_serving", "engine_command"]
