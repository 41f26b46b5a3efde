"""AlertmanagerConfig: who is woken by what. Keys and URLs stay in the user's Secrets."""

from typing import Final

from stoker.platform.observability import Receiver, ReceiverType
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit

__all__ = ["compile_receivers", "text", "title"]

_NOBODY: Final = "nobody"
title: Final = "{{ .CommonAnnotations.summary }}"
text: Final = "{{ range .Alerts }}{{ .Annotations.description }}\n{{ end }}"
_PRIORITY: Final = '{{ if eq .CommonLabels.severity "critical" }}P1{{ else }}P3{{ end }}'


def compile_receivers(platform: ResolvedPlatform) -> list[Emitted]:
    """One configuration for the platform, where anybody is to be told."""
    seen = platform.spec.observability
    if not seen.receivers:
        return []
    spec: Object = {
        "route": {
            "receiver": _NOBODY,
            "groupBy": ["alertname", "namespace", "model"],
            "groupWait": "30s",
            "groupInterval": "5m",
            "repeatInterval": "4h",
            "matchers": [{"name": "platform", "value": platform.spec.name, "matchType": "="}],
            "routes": [_route(receiver) for receiver in seen.receivers],
        },
        "receivers": [{"name": _NOBODY}, *(_receiver(receiver) for receiver in seen.receivers)],
        "inhibitRules": [
            {
                "sourceMatch": [{"name": "severity", "value": "critical", "matchType": "="}],
                "targetMatch": [{"name": "severity", "value": "warning|info", "matchType": "=~"}],
                "equal": ["namespace", "model"],
            }
        ],
    }
    names = ", ".join(receiver.name for receiver in seen.receivers)
    return [
        emit(
            platform,
            Upgrade.OBSERVABILITY,
            Wave.OBSERVABILITY,
            f"Alerts of this platform reach {names}; a critical one silences the warnings it explains",
            {
                "apiVersion": "monitoring.coreos.com/v1alpha1",
                "kind": "AlertmanagerConfig",
                "metadata": {
                    "name": platform.spec.name,
                    "namespace": seen.namespace,
                    "labels": dict(seen.selector_labels),
                },
                "spec": spec,
            },
        )
    ]


def _route(receiver: Receiver) -> Object:
    # `continue`: one alert may be for the pager and for the channel.
    severities = "|".join(receiver.severities)
    return {
        "receiver": receiver.name,
        "continue": True,
        "matchers": [{"name": "severity", "value": severities, "matchType": "=~"}],
    }


def _receiver(receiver: Receiver) -> Object:
    secret = {"name": receiver.secret.name, "key": receiver.secret.key}
    if receiver.type is ReceiverType.PAGERDUTY:
        config: Object = {
            "routingKey": secret,
            "sendResolved": True,
            "severity": "{{ .CommonLabels.severity }}",
            "description": title,
        }
        return {"name": receiver.name, "pagerdutyConfigs": [config]}
    if receiver.type is ReceiverType.OPSGENIE:
        config = {
            "apiKey": secret,
            "sendResolved": True,
            "message": title,
            "description": text,
            "priority": _PRIORITY,
        }
        return {"name": receiver.name, "opsgenieConfigs": [config]}
    if receiver.type is ReceiverType.SLACK:
        config = compact(
            {
                "apiURL": secret,
                "sendResolved": True,
                "channel": receiver.channel,
                "title": title,
                "text": text,
            }
        )
        return {"name": receiver.name, "slackConfigs": [config]}
    return {"name": receiver.name, "webhookConfigs": [{"urlSecret": secret, "sendResolved": True}]}
