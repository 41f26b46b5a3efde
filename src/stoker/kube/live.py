"""A snapshot of a live cluster: GET and LIST only, of the kinds that rules read, and no value of any Secret.

What the server refuses is told with the right that is missing, and its kind counts as unknown, never as absent.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx2
import msgspec

from stoker.errors import UnreachableError
from stoker.kube.connect import open_client, read_config
from stoker.kube.read import make_item
from stoker.kube.read_json import Found, read_json
from stoker.kube.shapes import SHAPES
from stoker.kube.snapshot import Item, Origin, Snapshot, Source, Unread

__all__ = ["read_cluster", "read_role"]

_DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
# Names and labels only: a Secret's values never leave the server.
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE: Final = 500
_MOST_EVENTS: Final = 5_000
_OURS: Final = frozenset(
    ("RuleFile.prometheus", "ConfigFile.prometheus", "Dashboard.grafana", "Measurements.stoker.dev")
)
_KINDS: Final = tuple(kind for kind in SHAPES if kind not in _OURS)

Progress = Callable[[str], None]


class _Meta(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    metadata: _Meta = msgspec.field(default_factory=_Meta)


def read_cluster(
    context: str | None = None,
    *,
    kubeconfig: str | None = None,
    namespaces: Sequence[str] = (),
    progress: Progress | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> Snapshot:
    """Read a cluster.

    Args:
        context: of the kubeconfig; the current one where None.
        kubeconfig: file; ``KUBECONFIG`` or ``~/.kube/config``, or the pod's service account, where None.
        namespaces: read namespaced kinds of these only; all where empty.
        progress: told what is being read.
        transport: another way to the server, for tests.

    Raises:
        UnreachableError: the server does not answer, or takes no credentials.
        StokerError: the kubeconfig is missing, or has no such context.
    """
    config = read_config(context, kubeconfig)
    with open_client(config, transport) as client:
        return _Reader(client, config.cluster.server, namespaces, progress or (lambda _: None)).snapshot()


class _Reader:
    def __init__(
        self, client: httpx2.Client, server: str, namespaces: Sequence[str], progress: Progress
    ) -> None:
        self.client, self.server, self.namespaces, self.progress = client, server, namespaces, progress
        self.items: list[Item] = []
        self.unread: list[Unread] = []
        self.listed: set[str] = set()

    def snapshot(self) -> Snapshot:
        version = self._get("/version")
        minor = f"{version.get('major', '')}.{str(version.get('minor', '')).rstrip('+')}" if version else ""
        served = self._discover()
        for kind in _KINDS:
            if kind not in served:
                self.listed.add(kind)  # a kind that is not served has no objects
                continue
            self.progress(kind.partition(".")[0])
            self._list(kind, *served[kind])
        return Snapshot(
            tuple(self.items),
            tuple(self.unread),
            Origin.LIVE,
            listed=frozenset(self.listed),
            kubernetes=minor.strip("."),
        )

    def _request(self, path: str, accept: str = "application/json") -> httpx2.Response:
        try:
            response = self.client.get(path, headers={"Accept": accept})
        except httpx2.TransportError as error:
            fix = (
                "check the server's address, the network and the VPN; a dump can be audited without a cluster"
            )
            raise UnreachableError(f"{self.server} does not answer: {error}", fix=fix) from error
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            raise UnreachableError(
                f"{self.server} takes no credentials (401)", fix="log in again, or name another --context"
            )
        return response

    def _get(self, path: str, accept: str = "application/json") -> dict[str, Any]:
        response = self._request(path, accept)
        try:
            found = response.json() if response.is_success else {}
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _discover(self) -> dict[str, tuple[str, str, bool]]:
        """Path of the version, plural and whether namespaced, by kind, from aggregated discovery."""
        found: dict[str, tuple[str, str, bool]] = {}
        for root in ("/api", "/apis"):
            document = self._get(root, _DISCOVERY)
            groups = document.get("items")
            if not isinstance(groups, list):
                raise UnreachableError(
                    f"{self.server}{root} gives no aggregated discovery",
                    fix="Kubernetes 1.30 and later serve it to every user",
                )
            for group in groups:
                name = str((group.get("metadata") or {}).get("name") or "")
                for version in group.get("versions") or []:
                    base = (
                        f"{root}/{name}/{version.get('version')}"
                        if name
                        else f"{root}/{version.get('version')}"
                    )
                    for resource in version.get("resources") or []:
                        kind = str((resource.get("responseKind") or {}).get("kind") or "")
                        key = f"{kind}.{name}" if name else kind
                        plural, scope = str(resource.get("resource") or ""), resource.get("scope")
                        if "list" in (resource.get("verbs") or []) and key not in found:
                            found[key] = (base, plural, scope == "Namespaced")
        return found

    def _list(self, kind: str, base: str, plural: str, namespaced: bool) -> None:  # noqa: FBT001  # unpacked from discovery
        paths = [f"{base}/{plural}"]
        if namespaced and self.namespaces:
            paths = [f"{base}/namespaces/{quote(name, safe='')}/{plural}" for name in self.namespaces]
        results = [self._pages(kind, path, plural) for path in paths]  # every one, whatever the first says
        if all(results) and not (namespaced and self.namespaces):
            self.listed.add(kind)

    def _pages(self, kind: str, path: str, plural: str) -> bool:
        """Every page of a list; False where not all of it was read."""
        accept = _METADATA if kind == "Secret" else "application/json"
        token, read, retried = "", 0, False
        while True:
            query = f"?limit={_PAGE}" + (f"&continue={quote(token, safe='')}" if token else "")
            response = self._request(path + query, accept)
            if response.status_code == httpx2.codes.GONE and token and not retried:
                token, retried = "", True  # the list has expired: once from the beginning
                del self.items[len(self.items) - read :]
                read = 0
                continue
            if not response.is_success:
                self.unread.append(Unread(kind, _refusal(response, plural)))
                return False
            try:
                page = msgspec.json.decode(response.content, type=_Page)
            except (msgspec.DecodeError, RecursionError) as error:
                self.unread.append(Unread(kind, f"{path} answered no list: {error}"))
                return False
            token = page.metadata.continue_
            if page.items:
                read += self._take(kind, response.content, path)
            if not token:
                return True
            if kind.startswith("Event") and read >= _MOST_EVENTS:
                self.unread.append(Unread(kind, f"only the first {read} events were read"))
                return False

    def _take(self, kind: str, content: bytes, path: str) -> int:
        made = [self._item(kind, entry) for entry in read_json(content, path)]
        self.items += [entry for entry in made if isinstance(entry, Item)]
        self.unread += [entry for entry in made if isinstance(entry, Unread)]
        return sum(isinstance(entry, Item) for entry in made)

    def _item(self, kind: str, found: Found | Unread) -> Item | Unread:
        if isinstance(found, Unread):
            return found
        obj = (
            {**found.obj, "apiVersion": "v1", "kind": "Secret"}
            if kind == "Secret" and isinstance(found.obj, dict)
            else found.obj
        )
        return make_item(Found(obj, Source(found.source.file), found.typed))


def _refusal(response: httpx2.Response, plural: str) -> str:
    if response.status_code == httpx2.codes.FORBIDDEN:
        return f"may not be listed: the right to list {plural} is missing (`stoker audit --role` prints the ClusterRole)"
    return f"the server answered {response.status_code}"


def read_role() -> dict[str, Any]:
    """The ClusterRole that an audit needs: get and list of what rules read. Without Secrets only their absence stays unknown."""
    groups: dict[str, list[str]] = {}
    for kind in _KINDS:
        name, _, group = kind.partition(".")
        groups.setdefault(group, []).append(_plural(name))
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "stoker-audit"},
        "rules": [
            {"apiGroups": [group], "resources": sorted(set(names)), "verbs": ["get", "list"]}
            for group, names in sorted(groups.items())
        ],
    }


def _plural(kind: str) -> str:
    lower = kind.lower()
    if lower.endswith("y") and lower[-2] not in "aeiou":
        return f"{lower[:-1]}ies"
    if lower.endswith(("ss", "ch", "x")):
        return f"{lower}es"
    return lower if lower.endswith("s") and lower != "ingress" else f"{lower}s"
