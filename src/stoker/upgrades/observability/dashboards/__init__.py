"""Interim."""

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted


def compile_dashboards(platform: ResolvedPlatform) -> list[Emitted]:
    return []
