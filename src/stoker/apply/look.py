"""What stands in the cluster of the objects that are wanted: few lists, then single reads of what no list had."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from stoker.kube.api_errors import ForbiddenError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref, ref_of
from stoker.upgrades.objects import MANAGED_BY

__all__ = ["LABEL", "THREADS", "each", "look"]

THREADS: Final = 8
LABEL: Final = f"app.kubernetes.io/managed-by={MANAGED_BY}"
_LIST_FROM: Final = 4  # objects of a kind from which one list is cheaper than single reads

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
    found: dict[Ref, Object] = {}
    many = [kind for kind, wanted in kinds.items() if len(wanted) >= _LIST_FROM]
    for listed in each(lambda kind: _list(cluster, *kind), many):
        found.update((ref_of(obj), obj) for obj in listed)
    wanted = [ref for refs_of_kind in kinds.values() for ref in refs_of_kind]
    rest = [ref for ref in wanted if ref not in found]
    found |= {ref: obj for ref, obj in zip(rest, each(cluster.get, rest), strict=True) if obj is not None}
    return {ref: found[ref] for ref in wanted if ref in found}


def _list(cluster: Cluster, api_version: str, kind: str) -> list[Object]:
    try:
        return cluster.objects(api_version, kind, labels=LABEL)
    except ForbiddenError:
        return []  # perhaps single objects may be read; if not, that error names what is missing
