"""The door to a cluster: read, apply, write, watch. Objects are plain mappings, whatever their kind.

Every write is a server-side apply under our field manager, or is guarded by a uid or a resourceVersion, so that what is
sent twice because an answer was lost does no harm.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from stoker.errors import UnreachableError
from stoker.kube.api_errors import ExpiredError, ForbiddenError, NotFoundError, api_error
from stoker.kube.clock import LAB, Clock, WallTime, lab_time
from stoker.kube.connect import open_client, read_config
from stoker.kube.discovery import Resource, Resources, read_resources
from stoker.kube.refs import Object, Ref, ref_of
from stoker.kube.transport import Sender, Tries

__all__ = ["FIELD_MANAGER", "Cluster", "Event", "open_cluster"]

FIELD_MANAGER: Final = "stoker"
_PAGE: Final = 500
_JSON: Final = {"Content-Type": "application/json"}
_PATCHES: Final = {
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch.

    Attributes:
        type: ADDED, MODIFIED, DELETED or BOOKMARK.
    """

    type: str
    object: Object


def open_cluster(
    context: str | None = None,
    *,
    kubeconfig: str | None = None,
    tries: Tries | None = None,
    told: Callable[[str], None] | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> "Cluster":
    """Open the cluster that a kubeconfig's context names; close it, or use it in a ``with``.

    Args:
        context: the current one where None.
        kubeconfig: file; ``KUBECONFIG`` or ``~/.kube/config``, or the pod's service account, where None.
        tries: how long requests go on.
        told: hears why the client waits.
        transport: another way to the server, for tests.

    Raises:
        StokerError: the kubeconfig cannot be used.
    """
    config = read_config(context, kubeconfig)
    client = open_client(config, transport)
    sender = Sender(client, config.cluster.server, tries or Tries(), told or (lambda _: None))
    return Cluster(sender, config.context_name or "", lambda: open_client(config, transport))


class Cluster:
    """A cluster that answers. May be used by several threads.

    Attributes:
        server: its URL.
        context: the kubeconfig's name for it; empty inside a pod.
    """

    def __init__(
        self, sender: Sender, context: str = "", opener: Callable[[], httpx2.Client] | None = None
    ) -> None:
        self._sender = sender
        self._opener = opener
        self.server = sender.server
        self.context = context
        self._resources: Resources | None = None
        self._clock: Clock | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._sender.client.close()

    def connect(self) -> httpx2.Client:
        """A further HTTP client with the user's credentials, for what is no API call, such as a Service's proxy; close it.

        It tries nothing again.
        """
        if self._opener is None:
            raise UnreachableError(
                f"{self.server}: this connection has no second", fix="open it by `open_cluster`"
            )
        return self._opener()

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        """The cluster's time: the wall's, or the lab's."""
        if self._clock is None:
            try:
                found = self.get(LAB)
            except ForbiddenError:  # every lab lets every user read it
                found = None
            self._clock = lab_time(found) or WallTime()
        return self._clock

    @property
    def measured_on(self) -> str:
        """``live``, or ``lab`` with its speed: what is printed beside every figure."""
        clock = self.clock
        if isinstance(clock, WallTime):
            return "live"
        return "lab" if clock.speed == 1 else f"lab at {clock.speed:g} times the wall's speed"

    def version(self) -> str:
        """Such as ``1.36``."""
        found = self.raw("/version")
        return f"{found.get('major', '')}.{str(found.get('minor', '')).rstrip('+')}"

    @property
    def resources(self) -> Resources:
        """The kinds it serves, read once; `rediscover` after CRDs were added."""
        with self._lock:
            if self._resources is None:
                self._resources = read_resources(lambda path, accept: self.raw(path, accept=accept))
            return self._resources

    def rediscover(self) -> Resources:
        with self._lock:
            self._resources = None
        return self.resources

    def resource(self, ref: Ref) -> Resource:
        """The kind of an object.

        Raises:
            NotFoundError: it is not served; its component is not installed.
        """
        found = self.resources.of(ref) or self.rediscover().of(ref)
        if found is None:
            message = f"the cluster serves no {ref.kind} in {ref.api_version}"
            raise NotFoundError(404, "NotFound", message, what=f"discovery of {ref.resource}")
        return found

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether it serves a kind now."""
        ref = Ref(api_version, kind, "", "")
        return (self.resources.of(ref) or self.rediscover().of(ref)) is not None

    # --- reading ------------------------------------------------------------------------------------------------------

    def raw(
        self, path: str, *, params: dict[str, str] | None = None, accept: str = "application/json"
    ) -> Any:
        """GET any path; JSON decoded, text where it is none."""
        response = self._sender.send("GET", path, params=params, headers={"Accept": accept}, repeatable=True)
        try:
            return response.json()
        except ValueError:
            return response.text

    def get(self, ref: Ref) -> Object | None:
        """The object; None where it, or its kind, is not there."""
        try:
            found: Object = self.raw(self.resource(ref).path(ref.namespace, ref.name))
        except NotFoundError:
            return None
        return found

    def objects(
        self, api_version: str, kind: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Every object of a kind, apiVersion and kind filled in; empty where the kind is not served.

        An empty ``namespace`` means all of them; ``labels`` and ``fields`` are selectors in the API's own words.
        """
        return self.objects_at(api_version, kind, namespace, labels=labels, fields=fields)[0]

    def objects_at(
        self, api_version: str, kind: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """As `objects`, with the resourceVersion from which a watch goes on."""
        try:
            resource = self.resource(Ref(api_version, kind, namespace, ""))
        except NotFoundError:
            return [], ""
        found: list[Object] = []
        token, restarted = "", False
        while True:
            params = {
                "limit": str(_PAGE),
                "labelSelector": labels,
                "fieldSelector": fields,
                "continue": token,
            }
            try:
                page = self.raw(resource.path(namespace), params={k: v for k, v in params.items() if v})
            except ExpiredError:
                if restarted or not token:
                    raise
                found, token, restarted = [], "", True  # the list has expired: once from the beginning
                continue
            found += [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or []]
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token:
                return found, str(metadata.get("resourceVersion") or "")

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        since: str = "",
        within: float = 60.0,
    ) -> Iterator[Event]:
        """Changes after ``since`` until the server ends the watch, at the latest after ``within`` wall seconds.

        Raises:
            ExpiredError: ``since`` is too old: list again.
            UnreachableError: the connection was lost; what came before it is true, list and watch again.
        """
        resource = self.resource(Ref(api_version, kind, namespace, ""))
        params = {
            "watch": "true", "labelSelector": labels, "fieldSelector": fields, "resourceVersion": since,
            "allowWatchBookmarks": "true", "timeoutSeconds": str(max(1, round(within))),
        }  # fmt: skip
        path = resource.path(namespace)
        wanted = {k: v for k, v in params.items() if v}
        timeout = httpx2.Timeout(10.0, read=within + 10.0)
        try:
            with self._sender.client.stream("GET", path, params=wanted, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise api_error(response.status_code, _json(response), what=f"watch {path}")
                for line in response.iter_lines():
                    if line:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            status = event["object"]
                            raise api_error(int(status.get("code") or 500), status, what=f"watch {path}")
                        yield Event(event["type"], event["object"])
        except httpx2.TransportError as error:
            raise UnreachableError(f"{self.server}: the watch was cut: {error}", fix="try again") from error

    def logs(self, namespace: str, pod: str, *, container: str = "", tail: int = 200) -> str:
        """The last lines of a container's log."""
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log"
        params = {"tailLines": str(tail)} | ({"container": container} if container else {})
        response = self._sender.send("GET", path, params=params, headers={"Accept": "*/*"}, repeatable=True)
        return response.text

    # --- writing ------------------------------------------------------------------------------------------------------

    def apply(
        self, obj: Object, *, dry_run: bool = False, force: bool = False, manager: str = FIELD_MANAGER
    ) -> Object:
        """Server-side apply under ``manager``; the answer is the whole object as the server has it then.

        A dry run does everything but the writing: defaults, admission, conflicts. ``force`` takes fields that others own.

        Raises:
            ConflictError: other managers own fields with other values; `ApiError.causes` names both.
            ApiError: the server refused.
        """
        ref = ref_of(obj)
        params = {"fieldManager": manager, "force": "true" if force else "false"}
        return self._write("PATCH", ref, obj, _PATCHES["apply"], params, dry_run=dry_run, repeatable=True)

    def create(self, obj: Object, *, dry_run: bool = False, manager: str = FIELD_MANAGER) -> Object:
        """Create. An answer that was lost may leave the object behind: the next try says that it exists.

        Raises:
            AlreadyExistsError: it exists.
            ApiError: refused, such as by a quota or an admission policy.
        """
        ref = ref_of(obj)
        resource = self.resource(ref)
        return self._send(
            "POST", resource.path(ref.namespace), obj, _JSON, {"fieldManager": manager}, dry_run=dry_run,
            repeatable=dry_run,
        )  # fmt: skip

    def replace(
        self, obj: Object, *, subresource: str = "", dry_run: bool = False, manager: str = FIELD_MANAGER
    ) -> Object:
        """PUT; with a resourceVersion in it, only over that version.

        Raises:
            ConflictError: somebody was faster.
        """
        guarded = bool(obj["metadata"].get("resourceVersion"))
        return self._write(
            "PUT", ref_of(obj), obj, _JSON["Content-Type"], {"fieldManager": manager}, subresource=subresource,
            dry_run=dry_run, repeatable=guarded,
        )  # fmt: skip

    def patch(
        self, ref: Ref, patch: Any, *, type: str = "merge", subresource: str = "", dry_run: bool = False,  # noqa: A002
        manager: str = FIELD_MANAGER,
    ) -> Object:  # fmt: skip
        """A ``json``, ``merge`` or ``strategic`` patch. It is sent again only where it has no lasting effect twice: merge."""
        return self._write(
            "PATCH", ref, patch, _PATCHES[type], {"fieldManager": manager}, subresource=subresource,
            dry_run=dry_run, repeatable=type == "merge" or dry_run,
        )  # fmt: skip

    def delete(
        self,
        ref: Ref,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace: int | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Delete; False where it was gone already. ``uid`` deletes only that very object, not another of its name.

        ``propagation`` is Background, Foreground or Orphan.

        Raises:
            ConflictError: the object of that name is another one.
        """
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            path = self.resource(ref).path(ref.namespace, ref.name)
            self._send("DELETE", path, options, _JSON, {}, dry_run=dry_run, repeatable=True)
        except NotFoundError:
            return False
        return True

    def evict(self, namespace: str, pod: str) -> None:
        """Evict a pod as `kubectl drain` does.

        Raises:
            UnreachableError: a disruption budget refused (429) for as long as requests go on.
        """
        ref = Ref("v1", "Pod", namespace, pod)
        body = {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace},
        }  # fmt: skip
        path = self.resource(ref).path(namespace, pod, "eviction")
        self._send("POST", path, body, _JSON, {}, dry_run=False, repeatable=False)

    def may(self, verb: str, resource: Resource, namespace: str = "", *, subresource: str = "") -> bool:
        """Whether this user may, by a SelfSubjectAccessReview."""
        attributes = {"verb": verb, "group": resource.group, "resource": resource.plural}
        if namespace:
            attributes["namespace"] = namespace
        if subresource:
            attributes["subresource"] = subresource
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self._send("POST", path, review, _JSON, {}, dry_run=False, repeatable=True)
        return bool((answer.get("status") or {}).get("allowed"))

    def _write(
        self, method: str, ref: Ref, body: Any, content_type: str, params: dict[str, str], *, dry_run: bool,
        repeatable: bool, subresource: str = "",
    ) -> Object:  # fmt: skip
        path = self.resource(ref).path(ref.namespace, ref.name, subresource)
        return self._send(
            method, path, body, {"Content-Type": content_type}, params, dry_run=dry_run, repeatable=repeatable
        )

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str], params: dict[str, str], *, dry_run: bool,
        repeatable: bool,
    ) -> Object:  # fmt: skip
        if dry_run:
            params = {**params, "dryRun": "All"}
        response = self._sender.send(
            method,
            path,
            params=params,
            content=json.dumps(body, separators=(",", ":")).encode(),
            headers={"Accept": "application/json", **headers},
            repeatable=repeatable,
        )
        answer: Object = response.json()
        return answer


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text[:500]
