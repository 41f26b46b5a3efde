"""One ServiceAccount a model: no rights in the cluster, a place for cloud identity and pull secrets."""

from stoker.platform.storage import HubStorage, ObjectStorage, OciStorage
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Upgrade, Wave, emit

__all__ = ["compile_service_accounts", "service_account_name"]


def service_account_name(model: ResolvedModel) -> str:
    """The account the user names, else one of the model's own."""
    return model.spec.service_account or f"{model.name}-engine"


def compile_service_accounts(platform: ResolvedPlatform) -> list[Emitted]:
    """The accounts that nobody else brings."""
    return [
        _account(platform, model) for model in platform.models.values() if model.spec.service_account is None
    ]


def _account(platform: ResolvedPlatform, model: ResolvedModel) -> Emitted:
    deliveries = [model.delivery, *([model.canary.delivery] if model.canary else [])]
    entries = [delivery.entry for delivery in deliveries]
    # KServe's storage initializer finds credentials through the account's secrets list
    # (kserve v0.20.0 pkg/credentials/service_account_credentials.go).
    stores = [
        entry.credentials for entry in entries if isinstance(entry, ObjectStorage) and entry.credentials
    ]
    stores += [
        entry.credentials.name for entry in entries if isinstance(entry, HubStorage) and entry.credentials
    ]
    pulls = [entry.pull_secret for entry in entries if isinstance(entry, OciStorage) and entry.pull_secret]
    return emit(
        platform,
        Upgrade.SCHEDULING,
        Wave.STORAGE,
        f"Identity of {model.name}'s pods: no token mounted, no rights, so a leaked pod cannot speak to the API server",
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": service_account_name(model), "namespace": model.namespace},
            "automountServiceAccountToken": False,
            "secrets": [{"name": name} for name in dict.fromkeys(stores)] or None,
            "imagePullSecrets": [{"name": name} for name in dict.fromkeys(pulls)] or None,
        },
        model=model,
    )
