"""What moves replica counts: targets that exist, signals that exist at zero, and one owner each."""

from collections.abc import Callable
from typing import Any

import promql_parser
import pytest
from tests.schemas.validate import validate_object

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.autoscaling import compile_autoscaling

HEAD = """
name: ai
pools: [{name: a100, gpu: A100-SXM-80GB, nodes: 4}]
tenants: [{name: prod, class: production}]
"""
MODEL = "  - {{name: chat, source: 'hf://meta-llama/Meta-Llama-3-8B-Instruct'{more}}}\n"

Object = dict[str, Any]
Resolver = Callable[[str], ResolvedPlatform]


@pytest.fixture
def objects(resolved: Resolver) -> Callable[..., list[Object]]:
    def run(more: str = "", *, platform: str = "") -> list[Object]:
        text = HEAD + platform + "models:\n" + MODEL.format(more=more and f", {more}")
        return [item.object for item in compile_autoscaling(resolved(text))]

    return run


@pytest.fixture
def scaled(objects: Callable[..., list[Object]]) -> Callable[..., Object]:
    """Spec of the one ScaledObject."""

    def run(more: str = "", *, platform: str = "") -> Object:
        found = [obj for obj in objects(more, platform=platform) if obj["kind"] == "ScaledObject"]
        assert len(found) == 1
        spec: Object = found[0]["spec"]
        return spec

    return run


Scaled = Callable[..., Object]
ZERO = "tier: batch, replicas: {min: 0, max: 2}"


def trigger(spec: Object, name: str) -> Object:
    found: Object = next(item for item in spec["triggers"] if item["name"] == name)
    return found


@pytest.mark.parametrize(
    ("mode", "name"),
    [("Standard", "chat-predictor"), ("Deployment", "chat"), ("LLMInferenceService", "chat-kserve")],
)
def test_the_target_is_the_deployment_that_the_modes_controller_makes(
    scaled: Scaled, mode: str, name: str
) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert target == scaled(f"serving: {mode}")["scaleTargetRef"]


def test_groups_over_nodes_are_scaled_as_groups(resolved: Resolver) -> None:
    text = """
name: ai
pools: [{name: big, gpu: A100-SXM-40GB, nodes: 4, gpusPerNode: 4, fabric: infiniband}]
models:
  - name: chat
    source: hf://meta-llama/Meta-Llama-3-70B-Instruct
    serving: Deployment
    parallelism: {tensor: 4, pipeline: 2}
    replicas: {min: 1, max: 2}
"""
    found = [item.object for item in compile_autoscaling(resolved(text))]
    target = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "chat"}
    assert [target] == [obj["spec"]["scaleTargetRef"] for obj in found]


def test_knative_scales_itself(objects: Callable[..., list[Object]]) -> None:
    assert objects("serving: Knative") == []


def test_fixed_replicas_have_no_scaled_object(objects: Callable[..., list[Object]]) -> None:
    assert objects("replicas: 3") == []
    assert objects(platform="autoscaling: {enabled: false}\n") == []


def test_production_stays_warm_and_sets_nothing_that_keda_warns_about(scaled: Scaled) -> None:
    spec = scaled()
    assert spec["minReplicaCount"] == 2
    assert not {"pollingInterval", "cooldownPeriod", "idleReplicaCount"} & set(spec)
    assert {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"} == spec["fallback"]


def test_lost_metrics_are_an_error_where_replicas_are_warm_and_the_truth_at_zero(scaled: Scaled) -> None:
    assert trigger(scaled(), "engine-load")["metadata"]["ignoreNullValues"] == "false"
    assert trigger(scaled(ZERO), "engine-load")["metadata"]["ignoreNullValues"] == "true"


@pytest.mark.parametrize("signal", ["queue", "concurrency", "kv-cache"])
@pytest.mark.parametrize("canary", ["", ", canary: {name: next}"])
def test_the_query_parses_and_adds_up_to_one_element(scaled: Scaled, signal: str, canary: str) -> None:
    metadata = trigger(scaled(f"autoscaling: {{signal: {signal}}}{canary}"), "engine-load")["metadata"]
    promql_parser.parse(metadata["query"])
    assert 'namespace="prod"' in metadata["query"]
    assert ('pod=~"chat-predictor-' in metadata["query"]) is bool(canary)
    assert float(metadata["threshold"]) > 0


def test_the_queue_counts_only_requests_that_wait_for_room(scaled: Scaled) -> None:
    query = trigger(scaled(), "engine-load")["metadata"]["query"]
    assert (
        'vllm:num_requests_waiting_by_reason{namespace="prod",model_name="chat",reason="capacity"}' in query
    )
    assert "clamp_max" in query


def test_older_engines_get_the_names_they_have(scaled: Scaled) -> None:
    query = trigger(scaled("engine: {name: vllm, version: '0.9.0'}"), "engine-load")["metadata"]["query"]
    assert "waiting_by_reason" not in query
    assert "vllm:num_requests_waiting{" in query


def test_the_cache_signal_is_a_share_not_a_percentage(scaled: Scaled) -> None:
    metadata = trigger(scaled("autoscaling: {signal: kv-cache, targetUtilization: 0.8}"), "engine-load")[
        "metadata"
    ]
    assert (metadata["threshold"], "vllm:kv_cache_usage_perc" in metadata["query"]) == ("0.8", True)


def test_a_loading_tier_is_not_killed(scaled: Scaled, resolved: Resolver) -> None:
    text = HEAD + "models:\n" + MODEL.format(more=f", {ZERO}, autoscaling: {{idleAfter: 1s}}")
    startup = resolved(text).models["chat"].startup_seconds
    spec = scaled(f"{ZERO}, autoscaling: {{idleAfter: 1s}}")
    assert spec["cooldownPeriod"] >= startup
    assert spec["initialCooldownPeriod"] >= startup


def test_the_http_addon_wakes_by_a_route_of_its_own(objects: Callable[..., list[Object]]) -> None:
    found = {
        obj["kind"]: obj for obj in objects(ZERO, platform="autoscaling: {kedaNamespace: keda-system}\n")
    }
    wake = trigger(found["ScaledObject"]["spec"], "held-requests")
    assert wake["type"] == "external-push"
    assert {
        "scalerAddress": "keda-add-ons-http-external-scaler.keda-system:9090",
        "interceptorRoute": "chat",
    } == wake["metadata"]
    route = found["InterceptorRoute"]
    assert (route["metadata"]["namespace"], route["spec"]["target"]) == (
        "prod",
        {"service": "chat-predictor", "port": 80},
    )
    assert "chat.models.example.com" in route["spec"]["rules"][0]["hosts"]


def test_the_gateway_wakes_by_what_the_endpoint_picker_holds(scaled: Scaled) -> None:
    spec = scaled(f"{ZERO}, serving: LLMInferenceService, autoscaling: {{wake: gateway}}")
    query = trigger(spec, "held-requests")["metadata"]["query"]
    promql_parser.parse(query)
    assert 'llm_d_epp_flow_control_queue_size{namespace="prod",inference_pool="chat-inference-pool"}' in query


BROKERS = {
    "kafka": (
        "{type: kafka, address: 'k:9092', queue: jobs, messagesPerReplica: 50}",
        {"bootstrapServers": "k:9092", "consumerGroup": "chat", "topic": "jobs", "lagThreshold": "50"},
    ),
    "rabbitmq": (
        "{type: rabbitmq, address: 'r:5672', queue: jobs, messagesPerReplica: 50}",
        {"host": "amqp://r:5672/", "queueName": "jobs", "mode": "QueueLength", "value": "50"},
    ),
    "aws-sqs-queue": (
        (
            "{type: aws-sqs-queue, address: sqs.eu-west-1.amazonaws.com/1, queue: jobs, region: eu-west-1, "
            "messagesPerReplica: 50}"
        ),
        {
            "queueURL": "https://sqs.eu-west-1.amazonaws.com/1/jobs",
            "queueLength": "50",
            "awsRegion": "eu-west-1",
        },
    ),
    "redis-streams": (
        "{type: redis-streams, address: 'r:6379', queue: jobs, messagesPerReplica: 50}",
        {"address": "r:6379", "stream": "jobs", "consumerGroup": "chat", "lagCount": "50"},
    ),
}


@pytest.mark.parametrize("kind", BROKERS)
def test_a_backlog_wakes_a_tier(scaled: Scaled, kind: str) -> None:
    section, wanted = BROKERS[kind]
    backlog = trigger(scaled(f"{ZERO}, autoscaling: {{broker: {section}}}"), "backlog")
    assert backlog["type"] == kind
    assert wanted == {key: backlog["metadata"][key] for key in wanted}


def test_a_password_stays_in_its_secret(objects: Callable[..., list[Object]]) -> None:
    broker = "{type: rabbitmq, address: 'r:5672', queue: jobs, credentials: {name: mq, key: url}}"
    found = {obj["kind"]: obj for obj in objects(f"{ZERO}, autoscaling: {{broker: {broker}}}")}
    backlog = trigger(found["ScaledObject"]["spec"], "backlog")
    assert "host" not in backlog["metadata"]
    assert backlog["authenticationRef"] == {"name": "chat-broker"}
    assert found["TriggerAuthentication"]["spec"] == {
        "secretTargetRef": [{"parameter": "host", "name": "mq", "key": "url"}]
    }


def test_windows_hold_replicas_and_never_more_than_there_are(scaled: Scaled) -> None:
    windows = "autoscaling: {warmUp: [{start: 0 7 * * 1-5, end: 0 19 * * 1-5, timezone: Europe/Berlin, replicas: 3}]}\n"
    window = trigger(scaled("replicas: {min: 1, max: 2}", platform=windows), "warm-up-0")
    assert {
        "timezone": "Europe/Berlin",
        "start": "0 7 * * 1-5",
        "end": "0 19 * * 1-5",
        "desiredReplicas": "2",
    } == window["metadata"]


def test_a_tier_that_only_windows_wake_asks_for_no_addon(objects: Callable[..., list[Object]]) -> None:
    tuning = "autoscaling: {wake: cron, warmUp: [{start: 0 22 * * *, end: 0 5 * * *, replicas: 1}]}"
    assert [obj["kind"] for obj in objects(f"{ZERO}, {tuning}")] == ["ScaledObject"]


def test_prometheus_with_a_login(scaled: Scaled) -> None:
    spec = scaled(platform="autoscaling: {prometheusAuth: thanos}\n")
    reference = {"name": "thanos", "kind": "ClusterTriggerAuthentication"}
    assert reference == trigger(spec, "engine-load")["authenticationRef"]


def test_scaling_in_is_slow_and_scaling_out_is_bounded_by_a_load(scaled: Scaled) -> None:
    behavior = scaled("autoscaling: {scaleDownAfter: 20m}")["advanced"]["horizontalPodAutoscalerConfig"][
        "behavior"
    ]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 1200
    assert [{"type": "Pods", "value": 1, "periodSeconds": 300}] == behavior["scaleDown"]["policies"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert all(60 <= policy["periodSeconds"] <= 1800 for policy in behavior["scaleUp"]["policies"])


@pytest.mark.parametrize("minor", ["1.33", "1.37"])
def test_every_object_is_valid(objects: Callable[..., list[Object]], shared: object, minor: str) -> None:
    del shared
    section, _ = BROKERS["kafka"]
    for more in ("", ZERO, f"{ZERO}, autoscaling: {{broker: {section}}}"):
        for obj in objects(more):
            assert validate_object(obj, minor) == []
