"""Triggers over message brokers: a queue exists while there are no replicas.

Source: kedacore/keda v2.20.2 pkg/scalers/{kafka,rabbitmq,aws_sqs_queue,redis_streams}_scaler.go (typed metadata).
"""

import re
from typing import Final

from stoker.platform.autoscaling import Broker
from stoker.sizing.resolved import ResolvedModel
from stoker.upgrades.objects import Object

__all__ = ["broker_authentication", "broker_trigger"]

_SQS_REGION: Final = re.compile(r"sqs\.([a-z0-9-]+)\.")


def broker_trigger(model: ResolvedModel, broker: Broker) -> Object:
    """Trigger that wakes and scales by the messages that wait."""
    target = str(broker.messages_per_replica or model.max_num_seqs or model.scaling.target_concurrency)
    trigger: Object = {
        "type": broker.type,
        "name": "backlog",
        "metricType": "AverageValue",
        "metadata": _METADATA[broker.type](model, broker, target),
    }
    if broker_authentication(model, broker) is not None:
        trigger["authenticationRef"] = {"name": _authentication_name(model)}
    return trigger


def broker_authentication(model: ResolvedModel, broker: Broker) -> Object | None:
    """TriggerAuthentication by Secret reference; None for an open broker.

    SQS without a Secret uses the workload identity of KEDA's operator (podIdentity aws).
    """
    spec: Object = {}
    if broker.credentials is not None:
        spec["secretTargetRef"] = [
            {"parameter": parameter, "name": broker.credentials.name, "key": key or broker.credentials.key}
            for parameter, key in _PARAMETERS[broker.type]
        ]
    elif broker.type == "aws-sqs-queue":
        spec["podIdentity"] = {"provider": "aws"}
    else:
        return None
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": _authentication_name(model), "namespace": model.namespace},
        "spec": spec,
    }


def _authentication_name(model: ResolvedModel) -> str:
    return f"{model.name}-broker"


# Authentication parameter -> key of the Secret; an empty key is the one that the platform file names. Kafka's user name
# and the id of an AWS key stand beside it under fixed keys.
_PARAMETERS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "kafka": (("username", "username"), ("password", "")),
    "rabbitmq": (("host", ""),),
    "aws-sqs-queue": (("awsAccessKeyID", "aws_access_key_id"), ("awsSecretAccessKey", "")),
    "redis-streams": (("password", ""),),
}


def _kafka(model: ResolvedModel, broker: Broker, target: str) -> Object:
    metadata = {
        "bootstrapServers": broker.address,
        "consumerGroup": broker.consumer_group or model.name,
        "topic": broker.queue,
        "lagThreshold": target,
        "activationLagThreshold": "0",
    }
    # SASL sends a password: never over a plain connection.
    return {**metadata, "sasl": "plaintext", "tls": "enable"} if broker.credentials else metadata


def _rabbitmq(_model: ResolvedModel, broker: Broker, target: str) -> Object:
    metadata = {
        "protocol": "auto",
        "queueName": broker.queue,
        "mode": "QueueLength",
        "value": target,
        "activationValue": "0",
    }
    if broker.credentials is None:
        metadata["host"] = broker.address if "://" in broker.address else f"amqp://{broker.address}/"
    return metadata


def _sqs(_model: ResolvedModel, broker: Broker, target: str) -> Object:
    url = broker.address if "://" in broker.address else f"https://{broker.address}"
    region = _SQS_REGION.search(url)
    return {
        "queueURL": url if url.endswith(f"/{broker.queue}") else f"{url.rstrip('/')}/{broker.queue}",
        "queueLength": target,
        "activationQueueLength": "0",
        "awsRegion": broker.region or (region[1] if region else "us-east-1"),
    }


def _redis(model: ResolvedModel, broker: Broker, target: str) -> Object:
    # pendingEntriesCount counts entries that a consumer has taken: nothing takes any at zero. The lag exists (Redis 7).
    return {
        "address": broker.address,
        "stream": broker.queue,
        "consumerGroup": broker.consumer_group or model.name,
        "lagCount": target,
        "activationLagCount": "0",
    }


_METADATA: Final = {"kafka": _kafka, "rabbitmq": _rabbitmq, "aws-sqs-queue": _sqs, "redis-streams": _redis}
