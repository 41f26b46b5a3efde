"""The platform file as a whole."""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from stoker.platform.autoscaling import Autoscaling
from stoker.platform.base import Name, Section, about
from stoker.platform.cluster import Cluster, Pool
from stoker.platform.models import Model
from stoker.platform.observability import Observability
from stoker.platform.rollout import Rollout
from stoker.platform.serving import Graph, Serving
from stoker.platform.storage import Storage
from stoker.platform.tenants import Tenancy, Tenant

__all__ = ["API_VERSION", "Components", "Cost", "Platform"]

API_VERSION: Final = "stoker.dev/v1"


class Cost(Section):
    """Money."""

    usd_per_gpu_hour: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64)],
            Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)],
        ],
        Field(max_length=64),
        about(
            "Price of one GPU-hour by GPU type, in US dollars.",
            why="The catalogue's list prices.",
            example={"A100-SXM-80GB": 2.5},
        ),
    ] = Field(default_factory=dict)


class Components(Section):
    """Cluster components that the platform stands on."""

    versions: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64)],
            Annotated[str, StringConstraints(pattern=r"^v?\d+\.\d+\.\d+([.+-][A-Za-z0-9.-]+)?$")],
        ],
        Field(max_length=32),
        about(
            "Other versions than the pinned ones, by component.",
            why="The pinned, mutually tested set.",
            example={"keda": "2.20.2"},
        ),
    ] = Field(default_factory=dict)
    installed: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
        Field(max_length=32),
        about("Components that the cluster already has; nothing is rendered for them.", why="None."),
    ] = ()


class Platform(Section):
    """What the user wants: pools, tenants, models, and how they are served, scaled, isolated and watched."""

    api_version: Annotated[Literal["stoker.dev/v1"], about("Version of this document.")] = API_VERSION
    kind: Annotated[Literal["Platform"], about("Kind of this document.")] = "Platform"
    name: Annotated[Name, about("Name of the platform; objects carry it as app.kubernetes.io/part-of.")]
    cluster: Annotated[Cluster, about("Target cluster.")] = Cluster()
    pools: Annotated[tuple[Pool, ...], Field(min_length=1, max_length=64), about("GPU node pools.")]
    tenants: Annotated[
        tuple[Tenant, ...],
        Field(max_length=500),
        about("Teams that share the cluster.", why="One production tenant named `inference`."),
    ] = ()
    models: Annotated[tuple[Model, ...], Field(min_length=1, max_length=5000), about("Models.")]
    graphs: Annotated[tuple[Graph, ...], Field(max_length=500), about("Inference graphs over models.")] = ()
    storage: Annotated[tuple[Storage, ...], Field(max_length=64), about("Where weights live.")] = ()
    serving: Annotated[Serving, about("How models are deployed and reached.")] = Serving()
    autoscaling: Annotated[Autoscaling, about("What moves replica counts.")] = Autoscaling()
    tenancy: Annotated[Tenancy, about("Rules over all tenants.")] = Tenancy()
    observability: Annotated[Observability, about("Metrics, alerts, dashboards.")] = Observability()
    rollout: Annotated[Rollout, about("Phases and gates.")] = Rollout()
    cost: Annotated[Cost, about("Prices.")] = Cost()
    components: Annotated[Components, about("Cluster components.")] = Components()
