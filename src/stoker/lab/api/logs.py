"""``pods/log``: lines of a container, whole or as they come."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError, bad_request

__all__ = ["LogSource", "log_answer"]

# Namespace, pod, container, whether of the run before: lines with their times, in seconds since the epoch.
LogSource = Callable[[str, str, str, bool], Sequence[tuple[float, str]]]

_LOOK_S = 0.2
_TEXT = "text/plain; charset=utf-8"


def log_answer(cluster: Cluster, call: Call, source: LogSource) -> Answer:
    """The answer to a call, with the query's bounds applied.

    Raises:
        ApiError: a container that is not named where there are several, one that is not there, or that has not run.
    """
    query = call.query
    pod = cluster.get("pods", call.namespace, call.name) or {}
    container = _chosen(pod, call.name, query.get("container", ""))
    is_previous = query.get("previous") in {"true", "1"}
    with_times = query.get("timestamps") in {"true", "1"}
    # Of a pod that no node has yet there is nothing to tell (registry/core/pod LogLocation).
    has_node = bool((pod.get("spec") or {}).get("nodeName"))
    lines = list(source(call.namespace, call.name, container, is_previous)) if has_node else []
    begin = 0.0
    if "sinceSeconds" in query:
        begin = cluster.clock().timestamp() - _number(query["sinceSeconds"])
    elif "sinceTime" in query:
        begin = datetime.fromisoformat(query["sinceTime"]).timestamp()
    chosen = [line for line in lines if line[0] >= begin]
    if query.get("tailLines"):
        count = _number(query["tailLines"])
        chosen = chosen[len(chosen) - count :] if count < len(chosen) else chosen
    text = _written(chosen, with_times=with_times)
    if query.get("limitBytes"):
        text = text[: _number(query["limitBytes"])]
    if query.get("follow") not in {"true", "1"}:
        return Answer(text=text, content_type=_TEXT)

    async def follow() -> AsyncIterator[bytes]:
        told = len(lines)
        yield text
        while _runs(cluster.get("pods", call.namespace, call.name), container):
            await asyncio.sleep(_LOOK_S)
            try:
                found = source(call.namespace, call.name, container, is_previous)
            except ApiError:
                return
            if len(found) > told:
                yield _written(found[told:], with_times=with_times)
                told = len(found)

    return Answer(stream=follow(), content_type=_TEXT)


def _chosen(pod: Object, name: str, wanted: str) -> str:
    """The container that is asked for, or the only one (registry/core/pod validateContainer)."""
    spec = pod.get("spec") or {}
    names = {
        kind: [str(one["name"]) for one in spec.get(kind) or ()]
        for kind in ("containers", "initContainers", "ephemeralContainers")
    }
    if wanted:
        if not any(wanted in each for each in names.values()):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(names["containers"]) == 1:
        return names["containers"][0]
    text = (
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(names['containers'])}]"
    )
    if names["initContainers"]:
        text += f" or one of the init containers: [{' '.join(names['initContainers'])}]"
    raise bad_request(text)


def _runs(pod: Object | None, container: str) -> bool:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or ()
    return any(one["name"] == container and "running" in (one.get("state") or {}) for one in statuses)


def _written(lines: Sequence[tuple[float, str]], *, with_times: bool) -> bytes:
    texts = []
    for at, line in lines:
        moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        texts.append(f"{moment} {line}\n" if with_times else f"{line}\n")
    return "".join(texts).encode()


def _number(text: str) -> int:
    try:
        return max(0, int(text))
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
