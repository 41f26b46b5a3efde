"""Where weights live and how they reach a node."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stoker.platform.base import HostName, Name, Quantity, SecretKey, Section, about

__all__ = ["CsiStorage", "HubStorage", "NfsStorage", "NvmeStorage", "ObjectStorage", "OciStorage", "Storage"]

AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]*$", max_length=255)]
_NAME = about("Name by which models refer to it.")


class NfsStorage(Section):
    """A volume on an NFS server: weights are copied there once, every replica reads them over the network."""

    kind: Annotated[Literal["nfs"], about("A PersistentVolume on NFS.")]
    name: Annotated[Name, _NAME]
    server: Annotated[HostName, about("Host of the NFS server.", example="nfs.internal")]
    path: Annotated[AbsolutePath, about("Exported path.", example="/models")]
    size: Annotated[Quantity, about("Size of the claim.", why="Seven 70B models in bf16.")] = "1Ti"
    credentials: Annotated[
        SecretKey | None,
        about("Token that downloads the weights, in the tenant's namespace.", why="None: public weights."),
    ] = None


class CsiStorage(Section):
    """A ReadWriteMany volume of a CSI driver (EFS, Azure Files, Filestore, CephFS, FSx for Lustre)."""

    kind: Annotated[Literal["csi"], about("A claim on a StorageClass.")]
    name: Annotated[Name, _NAME]
    storage_class: Annotated[
        HostName, about("StorageClass that provisions ReadWriteMany volumes.", example="efs-sc")
    ]
    size: Annotated[Quantity, about("Size of the claim.", why="Seven 70B models in bf16.")] = "1Ti"
    credentials: Annotated[
        SecretKey | None,
        about("Token that downloads the weights, in the tenant's namespace.", why="None: public weights."),
    ] = None


class NvmeStorage(Section):
    """Weights staged on each GPU node's local NVMe before any pod needs them."""

    kind: Annotated[Literal["nvme"], about("Local NVMe, staged ahead.")]
    name: Annotated[Name, _NAME]
    path: Annotated[
        AbsolutePath,
        about("Directory on the node's NVMe.", why="A mount of its own keeps a full disk off the kubelet's."),
    ] = "/mnt/nvme/models"
    credentials: Annotated[
        SecretKey | None, about("Token that downloads the weights.", why="None: public weights.")
    ] = None


class ObjectStorage(Section):
    """An object store (S3, GCS, Azure Blob): streamed by the engine or downloaded at start."""

    kind: Annotated[Literal["object-store"], about("An S3, GCS or Azure bucket.")]
    name: Annotated[Name, _NAME]
    credentials: Annotated[
        HostName | None,
        about(
            "Secret with the store's credentials, in the tenant's namespace.",
            why="None: the node's or pod's cloud identity.",
        ),
    ] = None
    endpoint: Annotated[
        str | None,
        StringConstraints(pattern=r"^https?://[^\s]+$", max_length=255),
        about("Endpoint of an S3-compatible store.", why="The cloud's own."),
    ] = None
    region: Annotated[
        str | None,
        StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=64),
        about("Region of the bucket.", why="The one of the pod's cloud identity."),
    ] = None
    cache: Annotated[
        bool,
        about(
            "Keep a copy on each node (KServe LocalModelCache).",
            why="On: ten replicas must not pull 141 GB each.",
        ),
    ] = True


class OciStorage(Section):
    """Weights in an OCI image, cached by the node's container runtime."""

    kind: Annotated[Literal["oci"], about("An OCI registry.")]
    name: Annotated[Name, _NAME]
    pull_secret: Annotated[
        HostName | None, about("Image pull Secret in the tenant's namespace.", why="None.")
    ] = None
    native: Annotated[
        bool | None,
        about(
            "Mount the image as a volume instead of copying through a modelcar sidecar.",
            why="On from Kubernetes 1.36, where image volumes are GA; off before.",
        ),
    ] = None


class HubStorage(Section):
    """The Hugging Face hub, downloaded at start. Right for trying out; `stoker advise` says what it costs."""

    kind: Annotated[Literal["hub"], about("Downloaded from the hub at each start.")]
    name: Annotated[Name, _NAME]
    credentials: Annotated[
        SecretKey | None, about("Hub token for gated models.", why="None: public models.")
    ] = None
    cache: Annotated[
        bool,
        about(
            "Keep a copy on each node (KServe LocalModelCache).", why="On: a restart must not download again."
        ),
    ] = True


Storage = Annotated[
    NfsStorage | CsiStorage | NvmeStorage | ObjectStorage | OciStorage | HubStorage,
    Field(discriminator="kind"),
]
