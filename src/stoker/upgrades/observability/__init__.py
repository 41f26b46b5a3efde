"""Upgrade 5, observability: monitors, rules, alerts, routes to people, dashboards."""

from stoker.upgrades.observability.compiler import compile_observability, rule_groups
from stoker.upgrades.observability.scrape import scrape_configs

__all__ = ["compile_observability", "rule_groups", "scrape_configs"]
