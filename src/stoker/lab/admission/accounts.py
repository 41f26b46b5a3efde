"""ServiceAccount: the account that a pod runs under, with its token mounted.

Source: plugin/pkg/admission/serviceaccount/admission.go.
"""

from collections.abc import Iterator
from typing import Any

from stoker.lab.admission.requests import refusal, spec_of
from stoker.lab.api.cluster import Cluster, Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.lab.store import Key

__all__ = ["SERVICE_ACCOUNT", "make_default_account"]

_DEFAULT = "default"
_MIRROR = "kubernetes.io/config.mirror"
_ENFORCES = "kubernetes.io/enforce-mountable-secrets"
_VOLUME_PREFIX = "kube-api-access-"
_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
# strconv.ParseBool
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))


def make_default_account(cluster: Cluster, namespace: str) -> Object:
    """The account ``default`` of a namespace, made as the service accounts controller makes it."""
    account = {
        "kind": "ServiceAccount",
        "apiVersion": "v1",
        "metadata": {
            "name": _DEFAULT,
            "namespace": namespace,
            "uid": cluster.new_uid(),
            "creationTimestamp": cluster.now(),
        },
    }
    cluster.store.put(Key("serviceaccounts", namespace, _DEFAULT), account)
    return account


def _concerns(review: Review) -> bool:
    return review.kind.resource.qualified == "pods" and (
        (review.operation == "CREATE" and not review.subresource)
        or (review.operation == "UPDATE" and review.subresource == "ephemeralcontainers")
    )


def _mutate(review: Review) -> None:
    if not _concerns(review) or review.operation != "CREATE":
        return
    if _is_mirror(review):
        _validate(review)
        return
    spec = spec_of(review)
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or _DEFAULT
    # The deprecated field is a copy (pkg/apis/core/v1/conversion.go).
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = _account(review, name)
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        _mount_token(spec, review.cluster)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [
            {"name": one["name"]} if one.get("name") else {} for one in account["imagePullSecrets"]
        ]
    _limit_references(review, account)


def _validate(review: Review) -> None:
    if not _concerns(review):
        return
    spec = spec_of(review)
    name = spec.get("serviceAccountName")
    if review.operation == "CREATE" and _is_mirror(review):
        _validate_mirror(review, spec)
        return
    if not name:
        pod = (review.obj.get("metadata") or {}).get("name", "")
        raise refusal(review, f"no service account specified for pod {review.namespace}/{pod}")
    _limit_references(review, _account(review, name))


def _is_mirror(review: Review) -> bool:
    return _MIRROR in ((review.obj.get("metadata") or {}).get("annotations") or {})


def _validate_mirror(review: Review, spec: Object) -> None:
    """A pod that only mirrors a node's own pod carries no credentials."""
    if spec.get("serviceAccountName"):
        raise refusal(review, "a mirror pod may not reference service accounts")
    volumes = spec.get("volumes") or ()
    projected = [one for volume in volumes for one in (volume.get("projected") or {}).get("sources") or ()]
    if (
        any("secret" in one for one in (*volumes, *projected))
        or spec.get("imagePullSecrets")
        or any(_references(spec))
    ):
        raise refusal(review, "a mirror pod may not reference secrets")
    if any("serviceAccountToken" in one for one in projected):
        raise refusal(review, "a mirror pod may not use ServiceAccountToken volume projections")


def _account(review: Review, name: str) -> Object:
    account = review.cluster.get("serviceaccounts", review.namespace, name)
    if account is None and name == _DEFAULT and review.cluster.get("namespaces", "", review.namespace):
        # The real plugin waits here until the controller has made it. Nobody else can run meanwhile in this process.
        account = {} if review.is_dry_run else make_default_account(review.cluster, review.namespace)
    if account is None:
        raise refusal(
            review,
            f'error looking up service account {review.namespace}/{name}: serviceaccount "{name}" not found',
        )
    return account


# --- the token ----------------------------------------------------------------------------------------------------


def _mount_token(spec: dict[str, Any], cluster: Cluster) -> None:
    volumes = spec.get("volumes") or []
    name = next((one["name"] for one in volumes if one.get("name", "").startswith(_VOLUME_PREFIX)), "")
    has_volume = bool(name)
    name = name or _VOLUME_PREFIX + cluster.new_suffix()
    is_needed = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            # Whoever mounts something there himself gets no token.
            if any(mount.get("mountPath") == _MOUNT_PATH for mount in mounts):
                continue
            container["volumeMounts"] = [
                *mounts,
                {"name": name, "readOnly": True, "mountPath": _MOUNT_PATH},
            ]
            is_needed = True
    if is_needed and not has_volume:
        spec["volumes"] = [*volumes, {"name": name, "projected": _token_source()}]


def _token_source() -> dict[str, Any]:
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
        "defaultMode": 420,
    }


# --- accounts that allow their own secrets only ---------------------------------------------------------------------


def _limit_references(review: Review, account: Object) -> None:
    annotations = (account.get("metadata") or {}).get("annotations") or {}
    if annotations.get(_ENFORCES) not in _TRUE:
        return
    spec, whose = spec_of(review), account["metadata"]["name"]
    allowed = {one.get("name", "") for one in account.get("secrets") or ()}
    is_new = review.operation == "CREATE"
    end = f"is not allowed because service account {whose} does not reference that secret"
    for volume in (spec.get("volumes") or ()) if is_new else ():
        secret = (volume.get("secret") or {}).get("secretName", "")
        if "secret" in volume and secret not in allowed:
            raise refusal(review, f'volume with secret.secretName="{secret}" {end}')
    for field, where, secret in _references(spec):
        if (field == "ephemeralContainers") != is_new and secret not in allowed:
            raise refusal(review, f'{where} referencing secret.secretName="{secret}" {end}')
    pulls = {one.get("name", "") for one in account.get("imagePullSecrets") or ()}
    for index, one in enumerate((spec.get("imagePullSecrets") or ()) if is_new else ()):
        name = one.get("name", "")
        if name not in pulls:
            raise refusal(
                review,
                f'imagePullSecrets[{index}].name="{name}" is not allowed because service account {whose} does not reference '
                "that imagePullSecret",
            )


def _references(spec: Object) -> Iterator[tuple[str, str, str]]:
    """Secrets in containers' environments: field, who refers to it as the refusal names him, the secret."""
    words = {
        "initContainers": "init container",
        "containers": "container",
        "ephemeralContainers": "ephemeral container",
    }
    for field, word in words.items():
        for container in spec.get(field) or ():
            name = container.get("name", "")
            for variable in container.get("env") or ():
                source = (variable.get("valueFrom") or {}).get("secretKeyRef")
                if source is not None:
                    where = f"{word} {name} with envVar {variable.get('name', '')}"
                    yield field, where, source.get("name", "")
            for source in container.get("envFrom") or ():
                if source.get("secretRef") is not None:
                    yield field, f"{word} {name} with envFrom", source["secretRef"].get("name", "")


SERVICE_ACCOUNT = Plugin("ServiceAccount", _mutate, _validate)
