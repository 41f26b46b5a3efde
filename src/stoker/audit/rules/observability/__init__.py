"""Metrics, scraping, alerts and dashboards: whether anybody would notice, and in time."""
