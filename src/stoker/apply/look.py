"""What stands in the cluster of the objects that are wanted: few lists, then single reads of what no list had."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from stoker.kube.api_errors import ForbiddenError
from stoker.kube.cluster import Cluster
from stoker.kube.discovery import Resource
from stoker.kube.refs import Object, Ref, ref_of
from stoker.upgrades.objects import MANAGED_BY

__all__ = ["LABEL", "THREADS", "each", "look", "metadata_pages"]

THREADS: Final = 8
LABEL: Final = f"app.kubernetes.io/managed-by={MANAGED_BY}"
_LIST_FROM: Final = 4  # objects of a kind from which one list is cheaper than single reads
_NAMES_FOR_EACH: Final = 10  # names in a list that cost as much as one single read
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

In = TypeVar("In")
Out = TypeVar("Out")


def each(work: Callable[[In], Out], items: Iterable[In], threads: int = THREADS) -> list[Out]:
    """``work`` on every item, several at a time, answers in order. The first error ends it, once what runs has ended."""
    items = list(items)
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(work, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def look(cluster: Cluster, refs: Collection[Ref]) -> dict[Ref, Object]:
    """The objects that are there, by name. Kinds that are not served have none.

    Raises:
        ForbiddenError: they may not be read.
    """
    kinds: dict[tuple[str, str], list[Ref]] = defaultdict(list)
    for ref in dict.fromkeys(refs):
        if cluster.resources.of(ref) is not None:
            kinds[ref.api_version, ref.kind].append(ref)
    many = [wanted for wanted in kinds.values() if len(wanted) >= _LIST_FROM]
    found: dict[Ref, Object] = {}
    rest = [ref for wanted in kinds.values() if len(wanted) < _LIST_FROM for ref in wanted]
    for listed, unknown in each(lambda wanted: _listed(cluster, wanted), many):
        found |= listed
        rest += unknown
    found |= {ref: obj for ref, obj in zip(rest, each(cluster.get, rest), strict=True) if obj is not None}
    return found


def _listed(cluster: Cluster, wanted: list[Ref]) -> tuple[dict[Ref, Object], list[Ref]]:
    """What a list of one kind has of ``wanted``, and what still has to be read one by one."""
    resource = cluster.resource(wanted[0])
    try:
        ours = cluster.objects(resource.api_version, resource.kind, labels=LABEL)
        names = set(wanted)
        found = {ref: obj for obj in ours if (ref := ref_of(obj)) in names}
        missing = [ref for ref in wanted if ref not in found]
        if len(missing) < _LIST_FROM:
            return found, missing
        there = _names(cluster, resource, at_most=_NAMES_FOR_EACH * len(missing))
    except ForbiddenError:  # perhaps single objects may be read; if not, that error names what is missing
        return {}, wanted
    return found, [ref for ref in missing if there is None or (ref.namespace, ref.name) in there]


def _names(cluster: Cluster, resource: Resource, *, at_most: int) -> set[tuple[str, str]] | None:
    """Namespaces and names of every object of a kind; None where there are so many that single reads are cheaper."""
    found: set[tuple[str, str]] = set()
    for items, is_last in metadata_pages(cluster, resource, size=min(500, at_most)):
        found |= {(item["metadata"].get("namespace") or "", item["metadata"]["name"]) for item in items}
        if not is_last and len(found) >= at_most:
            return None
    return found


def metadata_pages(
    cluster: Cluster, resource: Resource, *, size: int = 500
) -> Iterator[tuple[list[Object], bool]]:
    """The objects of a kind page by page, and whether a page is the last; their metadata only: no value of a Secret leaves the server."""
    token = ""
    while True:
        params = {"limit": str(size), **({"continue": token} if token else {})}
        page = cluster.raw(resource.path(), params=params, accept=_METADATA)
        token = (page.get("metadata") or {}).get("continue") or ""
        yield page.get("items") or [], not token
        if not token:
            return
