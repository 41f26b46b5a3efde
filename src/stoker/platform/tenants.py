"""Tenants: who shares the cluster, what they may use, who yields to whom."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from stoker.platform.base import Label, Name, Quantity, Section, about

__all__ = ["Access", "Guardrails", "Kueue", "Network", "Quota", "Tenancy", "Tenant", "WorkloadClass"]

Subject = Annotated[str, StringConstraints(pattern=r"^[^\s:][^\n]*$", min_length=1, max_length=253)]


class WorkloadClass(StrEnum):
    """What runs in a namespace; decides priority, preemption and the defaults below."""

    PRODUCTION = "production"
    STAGING = "staging"
    BATCH = "batch"
    TRAINING = "training"
    EXPERIMENTS = "experiments"


class Quota(Section):
    """Ceilings of one namespace. A quota is a ceiling, not a reservation (Kueue gives reservations)."""

    gpus: Annotated[
        Annotated[int, Field(ge=0, le=100_000)] | dict[Name, Annotated[int, Field(ge=0, le=100_000)]] | None,
        about(
            "GPUs, as one number or by pool. Counted per extended resource name (GPU, shared GPU, MIG slice).",
            why="What the namespace's models need at their maximum replicas, with surge and canary; other tenants: none "
            "is set unless given.",
            example={"a100": 16},
        ),
    ] = None
    cpu: Annotated[
        Quantity | None, about("CPU requests.", why="Not limited: CPU on GPU nodes follows the GPUs.")
    ] = None
    memory: Annotated[
        Quantity | None, about("Memory requests and limits.", why="Not limited: it follows the GPUs.")
    ] = None
    pods: Annotated[
        int | None,
        Field(ge=1, le=100_000),
        about(
            "Pods that are not finished, Pending ones included.",
            why="Not limited in production; 50 elsewhere.",
        ),
    ] = None
    storage: Annotated[Quantity | None, about("Storage over all claims.", why="Not limited.")] = None


class Guardrails(Section):
    """Against mistakes in a single pod, in the namespaces where people type pods by hand."""

    max_gpus_per_pod: Annotated[
        int | None,
        Field(ge=0, le=128),
        about(
            "Most GPUs of one pod, enforced by a ValidatingAdmissionPolicy (a LimitRange counts per container only).",
            why="1 in experiments, not limited elsewhere.",
        ),
    ] = None
    max_memory_per_container: Annotated[
        Quantity | None, about("Most memory of one container.", why="Not limited.")
    ] = None
    default_memory: Annotated[
        Quantity,
        about("Memory request and limit of a container that names none.", why="Small enough to be noticed."),
    ] = "2Gi"
    default_cpu: Annotated[
        Quantity, about("CPU request of a container that names none.", why="Small enough to be noticed.")
    ] = "500m"


class Access(Section):
    """Groups of the identity provider, bound to roles in the namespace."""

    admins: Annotated[tuple[Subject, ...], Field(max_length=32), about("Groups that own the namespace.")] = ()
    editors: Annotated[tuple[Subject, ...], Field(max_length=32), about("Groups that deploy into it.")] = ()
    viewers: Annotated[tuple[Subject, ...], Field(max_length=32), about("Groups that may look.")] = ()


class Network(Section):
    """Who may talk to the namespace's pods."""

    allow_from: Annotated[
        tuple[Label, ...],
        Field(max_length=64),
        about(
            "Namespaces whose pods may call this tenant's models, besides the gateway and Prometheus.",
            why="None: everything else is denied.",
        ),
    ] = ()
    internet_egress: Annotated[
        bool,
        about(
            "Pods may reach addresses outside the cluster.",
            why="True only where weights are downloaded by the pods themselves.",
        ),
    ] = False


class Tenant(Section):
    """One team and its namespace."""

    name: Annotated[Name, about("Name of the tenant.")]
    namespace: Annotated[Label | None, about("Its namespace.", why="The tenant's name.")] = None
    workload_class: Annotated[
        WorkloadClass,
        Field(alias="class"),
        about(
            "production, staging, batch, training or experiments.",
            why="Nothing outranks production by accident.",
        ),
    ] = WorkloadClass.EXPERIMENTS
    quota: Annotated[Quota, about("Ceilings of the namespace.")] = Quota()
    priority: Annotated[
        int | None,
        Field(ge=-1_000_000_000, le=1_000_000_000),
        about(
            "Value of the tenant's PriorityClass.",
            why="1000000 production, 500000 staging, 100000 batch, 50000 training, 10000 experiments: gaps leave room "
            "for classes in between.",
        ),
    ] = None
    preempts: Annotated[
        bool | None,
        about(
            "Pods of this tenant may preempt pods of lower priority.",
            why="True for production and staging; batch, training and experiments wait their turn.",
        ),
    ] = None
    guardrails: Annotated[Guardrails, about("Limits on a single pod.")] = Guardrails()
    access: Annotated[Access, about("Groups and their roles.")] = Access()
    network: Annotated[Network, about("Who may talk to the pods.")] = Network()
    pod_security: Annotated[
        Literal["restricted", "baseline", "privileged"],
        about(
            "Pod Security Standard that is enforced.",
            why="baseline admits every engine image as published and still refuses hostPath and privileged pods; "
            "restricted is audited so that the way there is visible.",
        ),
    ] = "baseline"

    @property
    def resolved_namespace(self) -> str:
        return self.namespace or self.name


class Kueue(Section):
    """Queues that lend idle GPUs between tenants and take them back when their owner needs them."""

    enabled: Annotated[
        bool,
        about(
            "Emit ClusterQueues and LocalQueues.",
            why="Off: quotas alone are simpler until GPUs stand idle behind them.",
        ),
    ] = False
    cohort: Annotated[
        Name,
        about(
            "Cohort within which tenants lend to each other.",
            why="One cohort: every tenant lends to every other.",
        ),
    ] = "gpus"
    lend: Annotated[
        Annotated[int, Field(ge=0, le=100)],
        about(
            "Percentage of a tenant's GPUs that others may borrow while idle.",
            why="All: idle GPUs earn nothing.",
        ),
    ] = 100


class Tenancy(Section):
    """Rules over all tenants."""

    guard_priorities: Annotated[
        bool,
        about(
            "Emit a ValidatingAdmissionPolicy so that a namespace can use no PriorityClass but its own.",
            why="Without it anyone can name the production class in a notebook.",
        ),
    ] = True
    network_policies: Annotated[
        bool,
        about(
            "Emit default-deny NetworkPolicies with the paths serving needs.", why="/metrics has no login."
        ),
    ] = True
    kueue: Annotated[Kueue, about("Lending of idle GPUs between tenants.")] = Kueue()
