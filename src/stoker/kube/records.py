"""Records of ours in the cluster: one object, one writer at a time, and answers that may be lost."""

from stoker.kube.api_errors import AlreadyExistsError, ConflictError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, ref_of

__all__ = ["write_over"]


def write_over(cluster: Cluster, body: Object, version: str) -> str:
    """Write a ConfigMap over what was read or written last; its new resourceVersion.

    Args:
        cluster: where.
        body: the whole object, without a resourceVersion.
        version: of what was read or written last; empty where there was nothing.

    Raises:
        ConflictError, AlreadyExistsError: somebody else wrote it meanwhile, and other data.
    """
    try:
        if version:
            metadata = {**body["metadata"], "resourceVersion": version}
            written = cluster.replace({**body, "metadata": metadata})
        else:
            written = cluster.create(body)
    except (AlreadyExistsError, ConflictError):
        written = cluster.get(ref_of(body)) or {}
        if written.get("data") != body["data"]:
            raise  # else it was our own write, whose answer was lost
    return str(written["metadata"]["resourceVersion"])
