"""What quotas leave of a resource."""

from stoker.kube.cluster import Cluster
from stoker.kube.quantities import parse

__all__ = ["quota_left"]


def quota_left(cluster: Cluster, namespace: str, resource: str) -> int | None:
    """What the namespace's quotas leave of an extended resource; None where there is none. Scoped quotas are about other pods."""
    key = f"requests.{resource}"
    found: list[int] = []
    for quota in cluster.objects("v1", "ResourceQuota", namespace):
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        hard = parse((spec.get("hard") or {}).get(key))
        if hard is not None:
            found.append(int(hard - (parse((status.get("used") or {}).get(key) or "0") or 0)))
    return min(found, default=None)
