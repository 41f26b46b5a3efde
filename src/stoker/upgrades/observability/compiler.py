"""Every object of upgrade 5."""

from stoker.platform.observability import PrometheusKind
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.observability.alerts import model_alerts
from stoker.upgrades.observability.cluster_alerts import gpu_alerts, gpu_recordings, tenant_alerts
from stoker.upgrades.observability.dashboards import compile_dashboards
from stoker.upgrades.observability.monitors import compile_monitors
from stoker.upgrades.observability.receivers import compile_receivers
from stoker.upgrades.observability.recording import model_recordings
from stoker.upgrades.observability.rules import Scope, alert_rule, recording_rule
from stoker.upgrades.observability.scrape import compile_scrape_files

__all__ = ["compile_observability", "rule_groups"]


def compile_observability(platform: ResolvedPlatform) -> list[Emitted]:
    """Monitors, rules, routes and dashboards; nothing where the platform leaves observability out."""
    seen = platform.spec.observability
    if not seen.enabled:
        return []
    if seen.prometheus is PrometheusKind.SCRAPE_CONFIG:
        return [*compile_scrape_files(platform, rule_groups(platform)), *compile_dashboards(platform)]
    return [
        *compile_monitors(platform),
        *_prometheus_rules(platform),
        *compile_receivers(platform),
        *compile_dashboards(platform),
    ]


def rule_groups(platform: ResolvedPlatform) -> list[Object]:
    """Every rule group of the platform, as a rule file holds them."""
    groups = [_fleet_recordings(platform), _fleet_alerts(platform)]
    groups += [_tenant_group(platform, tenant) for tenant in platform.tenants.values()]
    for model in platform.models.values():
        groups += _model_groups(platform, model)
    return [group for group in groups if group["rules"]]


def _fleet_recordings(platform: ResolvedPlatform) -> Object:
    return {
        "name": f"{platform.spec.name}.gpus.recording",
        "rules": [recording_rule(rule) for rule in gpu_recordings(platform)],
    }


def _fleet_alerts(platform: ResolvedPlatform) -> Object:
    return {
        "name": f"{platform.spec.name}.gpus",
        "rules": [alert_rule(platform, rule) for rule in gpu_alerts(platform)],
    }


def _tenant_group(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Object:
    return {
        "name": f"{platform.spec.name}.{tenant.name}",
        "rules": [alert_rule(platform, rule) for rule in tenant_alerts(tenant)],
    }


def _model_groups(platform: ResolvedPlatform, model: ResolvedModel) -> list[Object]:
    scope = Scope(model)
    prefix = f"{platform.spec.name}.{model.tenant.name}.{model.name}"
    return [
        {"name": f"{prefix}.recording", "rules": [recording_rule(rule) for rule in model_recordings(scope)]},
        {"name": prefix, "rules": [alert_rule(platform, rule) for rule in model_alerts(platform, scope)]},
    ]


def _prometheus_rules(platform: ResolvedPlatform) -> list[Emitted]:
    """One object for the fleet, one a tenant, one a model: each with its owner, none larger than a screenful of groups."""
    monitoring = platform.spec.observability.namespace
    fleet = [group for group in (_fleet_recordings(platform), _fleet_alerts(platform)) if group["rules"]]
    found = [
        _rule(
            platform,
            f"{platform.spec.name}-gpus",
            monitoring,
            fleet,
            "GPUs that fail, overheat or stand idle, and what the idle ones cost",
        )
    ]
    for tenant in platform.tenants.values():
        reason = f"Pods of {tenant.name} that crash, are killed or find no GPU"
        group = _tenant_group(platform, tenant)
        found.append(
            _rule(platform, f"{tenant.name}-tenant", tenant.namespace, [group], reason, tenant=tenant)
        )
    for model in platform.models.values():
        groups = [group for group in _model_groups(platform, model) if group["rules"]]
        reason = f"Percentiles, burn rates and alerts of {model.name}, with thresholds from its sizing and its objectives"
        found.append(_rule(platform, model.name, model.namespace, groups, reason, model=model))
    return found


def _rule(
    platform: ResolvedPlatform,
    name: str,
    namespace: str,
    groups: list[Object],
    reason: str,
    *,
    tenant: ResolvedTenant | None = None,
    model: ResolvedModel | None = None,
) -> Emitted:
    return emit(
        platform,
        Upgrade.OBSERVABILITY,
        Wave.OBSERVABILITY,
        reason,
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": dict(platform.spec.observability.selector_labels),
            },
            "spec": {"groups": groups},
        },
        tenant=tenant,
        model=model,
    )
