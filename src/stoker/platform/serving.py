"""How models are deployed and reached."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stoker.platform.base import HostName, Label, Name, Section, ServiceName, about

__all__ = ["Gateway", "Graph", "GraphStep", "Serving", "ServingMode"]


class ServingMode(StrEnum):
    """Values as upstream spells them where upstream has a name for them."""

    STANDARD = "Standard"
    KNATIVE = "Knative"
    LLM_INFERENCE_SERVICE = "LLMInferenceService"
    DEPLOYMENT = "Deployment"


class Gateway(Section):
    """The Gateway API gateway in front of the models."""

    name: Annotated[Label, about("Gateway.", why="KServe's own name for its ingress gateway.")] = (
        "kserve-ingress-gateway"
    )
    namespace: Annotated[Label, about("Its namespace.", why="Where KServe puts it.")] = "kserve"
    class_name: Annotated[
        HostName, about("GatewayClass.", why="Envoy Gateway: what KServe's documentation installs.")
    ] = "envoy"
    domain: Annotated[
        HostName, about("Domain under which models get host names.", why="Reserved by RFC 2606.")
    ] = "models.example.com"
    tls_secret: Annotated[
        Label | None, about("Certificate Secret in the gateway's namespace.", why="None: TLS ends elsewhere.")
    ] = None


class Serving(Section):
    """Serving defaults."""

    mode: Annotated[
        ServingMode,
        about(
            "Standard (KServe over Deployments), Knative, LLMInferenceService (Gateway API, prefix-aware routing) or "
            "Deployment (no KServe).",
            why="Standard: canaries and runtimes without Knative's request path in front of long streams.",
        ),
    ] = ServingMode.STANDARD
    gateway: Annotated[Gateway, about("Gateway in front of the models.")] = Gateway()


class GraphStep(Section):
    """One step: a model of this file, or the URL of a service."""

    model: Annotated[Name | None, about("Model of this file.", why="None: `url` names a service.")] = None
    url: Annotated[
        str | None,
        StringConstraints(pattern=r"^https?://[^\s]+$", max_length=512),
        about("Service elsewhere.", why="None: `model` names a model of this file."),
    ] = None
    name: Annotated[Name | None, about("Name of the step.", why="The model's name.")] = None
    data: Annotated[
        Literal["$request", "$response"], about("What the step receives.", why="The original request.")
    ] = "$request"
    weight: Annotated[
        int | None,
        Field(ge=0, le=100),
        about("Share of a Splitter, in percent.", why="None: only a Splitter has shares."),
    ] = None
    condition: Annotated[
        str | None,
        Field(max_length=512),
        about("GJSON condition of a Switch.", why="None: only a Switch has conditions."),
    ] = None


class Graph(Section):
    """A KServe InferenceGraph over models."""

    name: Annotated[ServiceName, about("Name of the graph.")]
    tenant: Annotated[Name | None, about("Tenant that owns it.", why="The first step's model's tenant.")] = (
        None
    )
    type: Annotated[
        Literal["Sequence", "Splitter", "Ensemble", "Switch"],
        about("Kind of the root node.", why="Sequence: one step after the other."),
    ] = "Sequence"
    steps: Annotated[
        tuple[GraphStep, ...], Field(min_length=1, max_length=32), about("Steps of the root node.")
    ]
