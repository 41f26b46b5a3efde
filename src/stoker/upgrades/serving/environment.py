"""Environment of the engine container: offline where weights are local, no telemetry, caches that can be written."""

from collections.abc import Iterable
from typing import Final

from stoker.platform.base import SecretKey
from stoker.platform.models import EngineName, EnvVar
from stoker.platform.serving import ServingMode
from stoker.platform.storage import HubStorage, ObjectStorage
from stoker.sizing.resolved import Delivery, DeliveryKind, ResolvedModel
from stoker.upgrades.objects import Object

__all__ = ["CACHE_MOUNT", "CACHE_VOLUME", "engine_environment", "merged_environment", "user_environment"]

CACHE_VOLUME: Final = "engine-cache"
CACHE_MOUNT: Final = "/var/cache/engine"

# huggingface_hub docs, package_reference/environment_variables; vllm/envs.py and vllm/usage/usage_lib.py of 0.33.0.
_NO_TELEMETRY: Final = {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def engine_environment(model: ResolvedModel, delivery: Delivery) -> list[Object]:
    """What Stoker sets, before the user's own variables.

    Caches stand on an emptyDir: an engine without root cannot write to the image's directories, and torch's inductor
    asks for a user name that a plain UID has not (USER answers it; vllm-project/vllm issue 44548).
    """
    name = EngineName(model.release.engine)
    values: dict[str, str] = {}
    if name is not EngineName.CUSTOM:
        values |= _NO_TELEMETRY | _cache_directories()
        if _weights_are_local(model, delivery):
            values["HF_HUB_OFFLINE"] = "1"
    if name in (EngineName.VLLM, EngineName.HUGGINGFACE):
        values |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CACHE_ROOT": f"{CACHE_MOUNT}/vllm"}
        values |= {"VLLM_CONFIG_ROOT": f"{CACHE_MOUNT}/vllm-config"}
    if delivery.kind is DeliveryKind.OBJECT_STORE and model.mode is ServingMode.DEPLOYMENT:
        values |= _store_endpoint(delivery)
    variables: list[Object] = [{"name": key, "value": value} for key, value in values.items()]
    token = _hub_token(model, delivery)
    if token is not None:
        variables.append(_from_secret("HF_TOKEN", token))
    return variables


def user_environment(variables: Iterable[EnvVar]) -> list[Object]:
    """The user's variables: a plain value or a reference to a Secret; a value never passes through Stoker."""
    return [
        _from_secret(item.name, item.secret)
        if item.secret is not None
        else {"name": item.name, "value": item.value or ""}
        for item in variables
    ]


def merged_environment(*parts: Iterable[Object]) -> list[Object]:
    """One list without a name twice (the API server warns of duplicates); the later part wins, order is kept."""
    found: dict[str, Object] = {}
    for part in parts:
        for variable in part:
            found[variable["name"]] = variable
    return list(found.values())


def _cache_directories() -> dict[str, str]:
    return {
        "HOME": CACHE_MOUNT,
        "USER": "engine",
        "XDG_CACHE_HOME": f"{CACHE_MOUNT}/xdg",
        "HF_HOME": f"{CACHE_MOUNT}/huggingface",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE_MOUNT}/inductor",
        "TRITON_CACHE_DIR": f"{CACHE_MOUNT}/triton",
    }


def _weights_are_local(model: ResolvedModel, delivery: Delivery) -> bool:
    """Whether the engine finds the weights on its file system; KServe downloads before the engine starts."""
    if model.mode is not ServingMode.DEPLOYMENT:
        return True
    return delivery.kind not in (DeliveryKind.HUB, DeliveryKind.OBJECT_STORE)


def _hub_token(model: ResolvedModel, delivery: Delivery) -> SecretKey | None:
    downloads = delivery.kind is DeliveryKind.HUB and model.mode is ServingMode.DEPLOYMENT
    return delivery.entry.credentials if downloads and isinstance(delivery.entry, HubStorage) else None


def _store_endpoint(delivery: Delivery) -> dict[str, str]:
    """Variables of the AWS SDK, which vLLM's streamer and KServe's downloader read."""
    entry = delivery.entry
    if not isinstance(entry, ObjectStorage):
        return {}
    values: dict[str, str] = {}
    if entry.endpoint:
        values["AWS_ENDPOINT_URL"] = entry.endpoint
    if entry.region:
        values["AWS_REGION"] = entry.region
    return values


def _from_secret(name: str, key: SecretKey) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}
