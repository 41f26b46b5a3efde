"""AlertmanagerConfigs as the one configuration of Alertmanager, as the Prometheus Operator merges them.

Values of Secrets stand in the result, as they do in the operator's: it belongs in a file that only its owner can read.

Source: prometheus-operator v0.93.0 pkg/alertmanager/amcfg.go (AddAlertmanagerConfigs, convertRoute, convertReceiver,
namespaceEnforcer, convertInhibitRule) and operator.go (the configuration where none is given).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stoker.errors import StokerError
from stoker.lab.monitoring.jobs import SecretReader
from stoker.lab.monitoring.speed import LabTime, scaled_interval
from stoker.lab.monitoring.targets import Object

__all__ = ["Receivers", "merge_alertmanager_configs"]

# Alertmanager's own defaults (alertmanager 0.25 dispatch/route.go DefaultRouteOpts, config.go DefaultGlobalConfig): they are
# the lab's too, so they are written out where the lab is fast.
_ROUTE: Final = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_RESOLVE_TIMEOUT: Final = "5m"
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FIRST: Final = {
    "pagerdutyConfigs": "pagerduty_configs",
    "opsgenieConfigs": "opsgenie_configs",
    "slackConfigs": "slack_configs",
    "webhookConfigs": "webhook_configs",
    "emailConfigs": "email_configs",
}
# Secrets that a field refers to, and the field that carries the value.
_SECRETS: Final = {
    "pagerdutyConfigs": {"routingKey": "routing_key", "serviceKey": "service_key"},
    "opsgenieConfigs": {"apiKey": "api_key"},
    "slackConfigs": {"apiURL": "api_url"},
    "webhookConfigs": {"urlSecret": "url"},
    "emailConfigs": {"authPassword": "auth_password", "authSecret": "auth_secret"},
}
_PLAIN: Final = {
    "pagerdutyConfigs": (
        "sendResolved", "url", "client", "clientURL", "description", "severity", "class", "group", "component",
    ),
    "opsgenieConfigs": (
        "sendResolved", "apiURL", "message", "description", "source", "tags", "note", "priority", "updateAlerts", "entity",
        "actions", "responders",
    ),
    "slackConfigs": (
        "sendResolved", "channel", "username", "color", "title", "titleLink", "pretext", "text", "shortFields", "footer",
        "fallback", "callbackId", "iconEmoji", "iconURL", "imageURL", "thumbURL", "linkNames", "mrkdwnIn",
    ),
    "webhookConfigs": ("sendResolved", "url", "maxAlerts"),
    "emailConfigs": (
        "sendResolved", "to", "from", "hello", "smarthost", "authUsername", "authIdentity", "html", "text", "requireTLS",
    ),
}  # fmt: skip


@dataclass(slots=True)
class Receivers:
    """What comes of all AlertmanagerConfigs.

    Attributes:
        config: Alertmanager's configuration; it holds secrets.
        secrets: their values, for those who must not write them anywhere else.
        problems: objects that were left out, and why.
    """

    config: Object
    secrets: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def merge_alertmanager_configs(
    configs: Sequence[Object],
    time: LabTime,
    secret: SecretReader,
    *,
    base: Object | None = None,
    strategy: str = "OnNamespace",
    own_namespace: str = "",
    overrides: Mapping[str, str] | None = None,
    root: Object | None = None,
) -> Receivers:
    """Routes and receivers of every object below one root, in the order of namespace and name.

    Args:
        configs: the selected AlertmanagerConfigs.
        time: the lab's.
        secret: reads the Secrets they refer to.
        base: the configuration that an Alertmanager object brings; without it nobody is told but by ``configs``.
        strategy: ``alertmanagerConfigMatcherStrategy.type``.
        own_namespace: of the Alertmanager object.
        overrides: where deliveries really go, by kind: ``pagerduty``, ``opsgenie``, ``slack``, ``webhook``, ``email``.
        root: an AlertmanagerConfig that is the root itself (``alertmanagerConfiguration``).
    """
    merged = base or {"route": {"receiver": "null"}, "receivers": [{"name": "null"}]}
    found = Receivers({**merged, "receivers": list(merged.get("receivers") or [])})
    reader = _Reader(found, secret, overrides or {}, time)
    if root is not None:
        part = reader.read(root)
        found.config = {
            "route": part.route or {"receiver": "null"},
            "receivers": part.receivers or [{"name": "null"}],
        }
        _extend(found.config, part)
    routes: list[Object] = []
    for item in sorted(configs, key=lambda one: (one["metadata"]["namespace"], one["metadata"]["name"])):
        namespace = item["metadata"]["namespace"]
        try:
            part = reader.read(item)
        except StokerError as error:
            found.problems.append(
                f"AlertmanagerConfig {namespace}/{item['metadata']['name']}: {error.message}"
            )
            continue
        is_bound = strategy == "OnNamespace" or (
            strategy == "OnNamespaceExceptForAlertmanagerNamespace" and namespace != own_namespace
        )
        if is_bound:
            part.bind(namespace)
        if part.route is not None:
            routes.append({**part.route, "continue": True})
            found.config["receivers"] += part.receivers
        _extend(found.config, part)
    _finish(found, routes, time)
    return found


def _finish(found: Receivers, routes: list[Object], time: LabTime) -> None:
    route = {**found.config["route"]}
    route["routes"] = [*routes, *(route.get("routes") or [])]
    if time.speed != 1:
        for key, default in _ROUTE.items():
            route.setdefault(key, scaled_interval(default, time))
        settings = {**(found.config.get("global") or {})}
        settings["resolve_timeout"] = scaled_interval(
            settings.get("resolve_timeout") or _RESOLVE_TIMEOUT, time
        )
        found.config["global"] = settings
    if not route["routes"]:
        del route["routes"]
    found.config["route"] = route


@dataclass(slots=True)
class _Part:
    route: Object | None
    receivers: list[Object]
    inhibit: list[Object]
    intervals: list[Object]

    def bind(self, namespace: str) -> None:
        """Only alerts of the object's own namespace reach its routes and inhibitions."""
        matcher = _matcher({"name": "namespace", "value": namespace, "matchType": "="})
        if self.route is not None:
            self.route["matchers"] = [*self.route.get("matchers", ()), matcher]
        for rule in self.inhibit:
            for side in ("source_matchers", "target_matchers"):
                if matcher not in rule[side]:
                    rule[side].append(matcher)


def _extend(config: Object, part: _Part) -> None:
    for key, more in (("inhibit_rules", part.inhibit), ("mute_time_intervals", part.intervals)):
        if more:
            config[key] = [*(config.get(key) or ()), *more]


@dataclass(frozen=True, slots=True)
class _Reader:
    found: Receivers
    secret: SecretReader
    overrides: Mapping[str, str]
    time: LabTime

    def read(self, item: Object) -> _Part:
        metadata, spec = item["metadata"], item["spec"]
        prefix = f"{metadata['namespace']}/{metadata['name']}/"
        route = spec.get("route")
        receivers = [
            self._receiver(one, metadata["namespace"], prefix) for one in spec.get("receivers") or []
        ]
        names = {one["name"] for one in receivers}
        translated = None if not route else self._route(route, prefix, names)
        inhibit = [
            {
                "source_matchers": [_matcher(one) for one in rule.get("sourceMatch") or []],
                "target_matchers": [_matcher(one) for one in rule.get("targetMatch") or []],
                "equal": rule.get("equal") or [],
            }
            for rule in spec.get("inhibitRules") or []
        ]
        intervals = [_interval(one, prefix) for one in spec.get("muteTimeIntervals") or []]
        return _Part(translated, receivers, inhibit, intervals)

    def _route(self, route: Object, prefix: str, names: set[str]) -> Object:
        found: Object = {}
        if route.get("receiver"):
            found["receiver"] = prefix + route["receiver"]
            if found["receiver"] not in names:
                raise StokerError(f'receiver "{route["receiver"]}" not found')
        if route.get("groupBy"):
            found["group_by"] = route["groupBy"]
        found |= {
            _snake(key): scaled_interval(route[key], self.time)
            for key in ("groupWait", "groupInterval", "repeatInterval")
            if route.get(key)
        }
        if route.get("matchers"):
            found["matchers"] = [_matcher(one) for one in route["matchers"]]
        if route.get("continue"):
            found["continue"] = True
        found |= {
            _snake(key): [prefix + one for one in route[key]]
            for key in ("muteTimeIntervals", "activeTimeIntervals")
            if route.get(key)
        }
        if route.get("routes"):
            found["routes"] = [self._route(one, prefix, names) for one in route["routes"]]
        return found

    def _receiver(self, receiver: Object, namespace: str, prefix: str) -> Object:
        found: Object = {"name": prefix + receiver["name"]}
        foreign = [key for key in receiver if key.endswith("Configs") and key not in _FIRST and receiver[key]]
        if foreign:
            raise StokerError(f"{foreign[0]} of receiver {receiver['name']!r} are not emulated in a lab")
        for kind, target in _FIRST.items():
            entries = [self._entry(kind, one, namespace) for one in receiver.get(kind) or []]
            if entries:
                found[target] = entries
        return found

    def _entry(self, kind: str, entry: Object, namespace: str) -> Object:
        found = {_snake(key): entry[key] for key in _PLAIN[kind] if entry.get(key) is not None}
        for key, target in _SECRETS[kind].items():
            if entry.get(key):
                found[target] = self._value(namespace, entry[key])
        pairs = {
            one["key"]: one.get("value", "") for one in entry.get("details") or entry.get("headers") or []
        }
        if pairs:
            found["headers" if kind == "emailConfigs" else "details"] = pairs
        if kind == "slackConfigs":
            for key in ("fields", "actions"):
                if entry.get(key):
                    found[key] = entry[key]
        settings = entry.get("httpConfig")
        if settings:
            found["http_config"] = self._http(settings, namespace)
        return _redirected(kind, found, self.overrides)

    def _http(self, settings: Object, namespace: str) -> Object:
        found: Object = {}
        if settings.get("followRedirects") is not None:
            found["follow_redirects"] = settings["followRedirects"]
        basic, authorization = settings.get("basicAuth"), settings.get("authorization")
        if basic:
            found["basic_auth"] = {key: self._value(namespace, basic[key]) for key in basic}
        reference = (authorization or {}).get("credentials") or settings.get("bearerTokenSecret")
        if reference:
            kind = (authorization or {}).get("type") or "Bearer"
            found["authorization"] = {"type": kind, "credentials": self._value(namespace, reference)}
        return found

    def _value(self, namespace: str, reference: Object) -> str:
        name, key = reference.get("name", ""), reference.get("key", "")
        value = self.secret(namespace, name, key)
        if value is None:
            # The operator's words (pkg/assets/store.go).
            raise StokerError(
                f'unable to get secret "{name}": key "{key}" not found in namespace "{namespace}"'
            )
        self.found.secrets.add(value)
        return value


def _redirected(kind: str, entry: Object, overrides: Mapping[str, str]) -> Object:
    key = kind.removesuffix("Configs")
    url = overrides.get(key)
    if url is None:
        return entry
    if key == "email":
        return {**entry, "smarthost": url, "require_tls": False}
    return {**entry, {"opsgenie": "api_url", "slack": "api_url"}.get(key, "url"): url}


def _matcher(entry: Object) -> str:
    kind = entry.get("matchType") or ("=~" if entry.get("regex") else "=")
    value = entry.get("value", "").replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{entry["name"]}{kind}"{value}"'


def _snake(key: str) -> str:
    """``clientURL`` is ``client_url``, ``callbackId`` is ``callback_id``."""
    return _CAMEL.sub("_", key).lower()


def _interval(entry: Object, prefix: str) -> Object:
    def part(one: Object) -> Object:
        found: Object = {}
        if one.get("times"):
            found["times"] = [
                {"start_time": time["startTime"], "end_time": time["endTime"]} for time in one["times"]
            ]
        if one.get("weekdays"):
            found["weekdays"] = [str(day).lower() for day in one["weekdays"]]
        if one.get("daysOfMonth"):
            found["days_of_month"] = [
                f"{day['start']}:{day.get('end') or day['start']}" for day in one["daysOfMonth"]
            ]
        for key in ("months", "years"):
            if one.get(key):
                found[key] = [str(value).lower() for value in one[key]]
        return found

    return {
        "name": prefix + entry["name"],
        "time_intervals": [part(one) for one in entry.get("timeIntervals") or ()],
    }
