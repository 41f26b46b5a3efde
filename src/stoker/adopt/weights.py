"""Where weights come from, and the storage entries that deliver them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.adopt.flags import secret_key
from stoker.adopt.ledger import Ledger
from stoker.adopt.names import free, managed, name_of, quantity
from stoker.audit.view.serving import Server, find_model
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.kube.snapshot import Item

__all__ = ["Origin", "Weights", "find_weights"]

_URI: Final = re.compile(r"^(hf|s3|gs|oci|pvc|modelscope|https)://[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,500}$")
_HUB: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")
_MOUNT: Final = "/mnt/models"
_TOKENS: Final = frozenset(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
_KINDS: Final = {
    "hf": "hub",
    "modelscope": "hub",
    "s3": "object-store",
    "gs": "object-store",
    "https": "object-store",
    "oci": "oci",
}
_LABEL: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_SECRET_IN_URL: Final = re.compile(r"^https://[^/]*@")


@dataclass(frozen=True, slots=True)
class Origin:
    """``source`` of a model, the ``storage`` entry that delivers it, and where it stands in the object."""

    source: str
    storage: str | None = None


@dataclass
class Weights:
    """Sources and storage entries, collected model by model.

    Attributes:
        copies: what Stoker's own copy jobs bring, by the name of the copy.
        entries: storage entries by what makes them one.
    """

    view: View
    ledger: Ledger
    copies: dict[str, str] = field(default_factory=dict)
    staged: dict[str, str] = field(default_factory=dict)  # copy -> name of the entry that brings it
    entries: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def entry(self, key: tuple[str, ...], fields: dict[str, Any], name: str) -> str:
        """The entry of that key, made where it is new."""
        if key not in self.entries:
            taken = [str(item["name"]) for item in self.entries.values()]
            self.entries[key] = {"name": free(name_of(name, "weights"), taken), **fields}
        return str(self.entries[key]["name"])

    def origin(self, server: Server) -> Origin | None:
        """Where a server's weights come from; None where nothing says it, which is noted."""
        source = self._copied(server) or self._written(server)
        if source is None:
            source = self._published(server)
        if source is None:
            return None
        return Origin(source, self._storage(server, source))

    def _copied(self, server: Server) -> str | None:
        """Of Stoker's own copies, the one that this server reads."""
        labels = {**server.item.labels, **server.workload.labels}
        if not managed(server.item):
            return None
        model, version = labels.get("stoker.dev/model", ""), labels.get("stoker.dev/version", "stable")
        return self.copies.get(model if version == "stable" else f"{model}-{version}")

    def _written(self, server: Server) -> str | None:
        repository = server.flag("--model-repository", "--model-store") if server.engine == "triton" else None
        written = server.model or (repository.value if repository else "")
        uri = server.workload.item.section("spec", "model").get("uri")
        storage = server.container.spec.get("storageUri")
        if written.startswith(_MOUNT) or not written:
            written = next((text for text in (uri, storage) if isinstance(text, str)), written)
        if _SECRET_IN_URL.match(written):
            self.ledger.note(
                server.item,
                server.model_path or (),
                "its source holds a user or a password, which is not repeated here",
            )
            return None
        if _URI.match(written):
            return written.rstrip("/") if not written.startswith("pvc://") else written
        if _HUB.match(written):
            return f"hf://{written}"
        return self._mounted(server, written) if written.startswith("/") else None

    def _mounted(self, server: Server, path: str) -> str | None:
        """``pvc://CLAIM/PATH`` of a directory in a mounted claim."""
        name = server.container.mount(path)
        volume = (
            next(
                (item for item in server.workload.pod.get("volumes") or [] if item.get("name") == name), None
            )
            if name
            else None
        )
        mount = (
            next(
                (
                    item
                    for item in server.container.spec.get("volumeMounts") or []
                    if item.get("name") == name
                ),
                None,
            )
            if name
            else None
        )
        claim = ((volume or {}).get("persistentVolumeClaim") or {}).get("claimName")
        if not claim or mount is None:
            return None
        below = path[len(str(mount.get("mountPath") or "").rstrip("/")) :].strip("/")
        parts = [str(claim), str(mount.get("subPath") or "").strip("/"), below]
        source = "pvc://" + "/".join(part for part in parts if part)
        return source if _URI.match(source) else None

    def _published(self, server: Server) -> str | None:
        """The hub's copy of the architecture that a path names."""
        known = server.architecture or find_model(served_name(server)) or find_model(server.item.name)
        if known is None or not known.hf_ids:
            return None
        wanted = find_model_id(server.model, known.hf_ids)
        source = f"hf://{wanted}"
        self.ledger.note(
            server.item,
            server.model_path or server.container.path,
            f"{'its weights lie in ' + server.model if server.model.startswith('/') else 'nothing says where its weights come from'}, which no claim "
            f"or image that was read holds; {source} is taken in its place",
        )
        return source

    def _storage(self, server: Server, source: str) -> str | None:
        scheme = source.partition("://")[0]
        labels = {**server.item.labels, **server.workload.labels}
        if managed(server.item) and labels.get("stoker.dev/model") in self.staged:
            return self.staged[labels["stoker.dev/model"]]
        if scheme == "pvc":
            return None
        kind = _KINDS[scheme]
        cached = bool(self.view.of("LocalModelCache.serving.kserve.io"))
        if kind == "hub":
            token = self._token(server)
            key = (kind, *sorted((token or {}).values()))
            return self.entry(
                key, {"kind": kind, **({"credentials": token} if token else {}), "cache": cached}, "hub"
            )
        if kind == "oci":
            pull = self._pull_secret(server.workload)
            fields = {"pullSecret": pull} if pull and _LABEL.match(pull) else {}
            return self.entry((kind, pull or ""), {"kind": kind, **fields}, "registry")
        fields = _bucket(server)
        return self.entry((kind, *fields.values()), {"kind": kind, **fields, "cache": cached}, "bucket")

    def _pull_secret(self, workload: Workload) -> str | None:
        account = self.view.snapshot.get(
            "ServiceAccount", workload.namespace, str(workload.pod.get("serviceAccountName") or "default")
        )
        theirs = account.obj.get("imagePullSecrets") if account else None
        listed = [
            *(workload.pod.get("imagePullSecrets") or []),
            *(theirs if isinstance(theirs, list) else []),
        ]
        return next(
            (str(item["name"]) for item in listed if isinstance(item, dict) and item.get("name")), None
        )

    def _token(self, server: Server) -> dict[str, str] | None:
        for entry in server.container.spec.get("env") or []:
            if entry.get("name") in _TOKENS:
                return secret_key(entry.get("valueFrom") or {})
        return None


def find_model_id(path: str, ids: tuple[str, ...]) -> str:
    """Of a family's repositories the one that a path means: ``…-instruct`` is an instruct model."""
    last = path.rstrip("/").rpartition("/")[2].lower()
    wants = "instruct" in last or "chat" in last or last.endswith("-it")
    fitting = [item for item in ids if ("instruct" in item.lower() or "chat" in item.lower()) is wants]
    return (fitting or list(ids))[0]


def served_name(server: Server) -> str:
    """The name by which requests call the model; empty where it is the source."""
    flag = server.flag("--served-model-name", "--model-name", "--model_name")
    if flag and flag.value and "$" not in flag.value:
        return flag.value
    name = server.workload.item.section("spec", "model").get("name")
    return name if isinstance(name, str) else ""


def _bucket(server: Server) -> dict[str, str]:
    """Secret, endpoint and region of an object store by the usual variables."""
    found: dict[str, str] = {}
    for entry in server.container.spec.get("env") or []:
        name, value = entry.get("name"), entry.get("value")
        if name == "AWS_ACCESS_KEY_ID":
            secret = secret_key(entry.get("valueFrom") or {})
            if secret:
                found["credentials"] = secret["name"]
        elif (
            name in {"AWS_REGION", "AWS_DEFAULT_REGION"}
            and isinstance(value, str)
            and re.fullmatch(r"[a-z0-9-]{1,64}", value)
        ):
            found["region"] = value
        elif (
            name in {"AWS_ENDPOINT_URL", "S3_ENDPOINT"}
            and isinstance(value, str)
            and re.fullmatch(r"https?://[^\s@]{1,200}", value)
        ):
            found["endpoint"] = value
    return {key: found[key] for key in ("credentials", "endpoint", "region") if key in found}


def find_weights(view: View, ledger: Ledger) -> Weights:
    """Sources with what Stoker's own copy jobs say of theirs."""
    weights = Weights(view, ledger)
    for workload in view.workloads:
        if managed(workload.item) and workload.item.labels.get("stoker.dev/upgrade") == "storage":
            _read_copies(workload, weights)
    return weights


def _read_copies(workload: Workload, weights: Weights) -> None:
    for container in workload.containers:
        words = [str(word) for word in container.spec.get("args") or []]
        copies: dict[str, str] = {}
        if words[:1] == ["copy"] and len(words) == 4:  # copy ROOT NAME SOURCE
            copies[words[2]] = words[3]
        for word in words:
            name, equals, source = word.partition("=")
            if equals and _URI.match(source):
                copies[name] = source
        if not copies:
            continue
        token = next(
            (
                secret_key(e.get("valueFrom") or {})
                for e in container.spec.get("env") or []
                if e.get("name") == "HF_TOKEN"
            ),
            None,
        )
        entry = _entry(workload, weights, {"credentials": token} if token else {})
        for copy, source in copies.items():
            if _URI.match(source):
                weights.copies[copy] = source
                if entry:
                    weights.staged[copy] = entry


def _entry(workload: Workload, weights: Weights, credentials: Mapping[str, Any]) -> str | None:
    """The storage entry that a copy job writes into: node disks, NFS, or a CSI driver's claim."""
    for volume in workload.pod.get("volumes") or []:
        path = (volume.get("hostPath") or {}).get("path")
        if path:
            return weights.entry(("nvme", path), {"kind": "nvme", "path": path, **credentials}, "nvme")
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        found = (
            weights.view.snapshot.get("PersistentVolumeClaim", workload.namespace, str(claim))
            if claim
            else None
        )
        if found is not None:
            return _claimed(found, weights, credentials)
    return None


def _claimed(claim: Item, weights: Weights, credentials: Mapping[str, Any]) -> str | None:
    asked = quantity(claim.section("spec", "resources", "requests").get("storage", ""))
    size = {"size": asked} if asked else {}
    volume = weights.view.snapshot.get("PersistentVolume", "", str(claim.spec.get("volumeName") or ""))
    nfs = volume.section("spec", "nfs") if volume else {}
    if isinstance(nfs.get("server"), str) and isinstance(nfs.get("path"), str):
        fields = {"kind": "nfs", "server": nfs["server"], "path": nfs["path"], **size, **credentials}
        return weights.entry(("nfs", nfs["server"], nfs["path"]), fields, "nfs")
    storage_class = claim.spec.get("storageClassName")
    if storage_class:
        return weights.entry(
            ("csi", storage_class),
            {"kind": "csi", "storageClass": storage_class, **size, **credentials},
            str(storage_class),
        )
    return None
