"""Names that must differ, as written and as Kubernetes objects will carry them."""

from collections.abc import Iterable, Iterator
from typing import Final

from stoker.platform.check.finding import Finding, tenant_of
from stoker.platform.document import Platform
from stoker.platform.positions import Path, shown

__all__ = ["derived_names", "namespaces", "unique_names"]

_SYSTEM: Final = frozenset(("default", "kube-system", "kube-public", "kube-node-lease"))


def unique_names(platform: Platform) -> Iterator[Finding]:
    """Names within one list."""
    lists: dict[str, Iterable[str]] = {
        "pools": [item.name for item in platform.pools],
        "tenants": [item.name for item in platform.tenants],
        "models": [item.name for item in platform.models],
        "graphs": [item.name for item in platform.graphs],
        "storage": [item.name for item in platform.storage],
    }
    for section, names in lists.items():
        yield from _repeated((section,), "name", names)
    yield from _repeated(
        ("observability", "receivers"), "name", (item.name for item in platform.observability.receivers)
    )
    for index, model in enumerate(platform.models):
        yield from _repeated(("models", index, "lora"), "name", (item.name for item in model.lora))


def _repeated(section: Path, key: str, names: Iterable[str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            yield Finding(
                (*section, index, key),
                f"the name is taken by {section[-1]}[{first[name]}]",
                found=shown(name),
                wanted="a name of its own",
                fix="rename one of them",
            )
        else:
            first[name] = index


def derived_names(platform: Platform) -> Iterator[Finding]:
    """Names that compilers derive: a canary's workload, a LoRA adapter's served name, a graph's Service."""
    owned: dict[tuple[str, str], int] = {}
    for index, model in enumerate(platform.models):
        owned.setdefault((tenant_of(platform, model.tenant), model.name), index)
    versions: dict[tuple[str, str], int] = {}
    adapters: dict[tuple[str, str], int] = {}
    for index, model in enumerate(platform.models):
        tenant = tenant_of(platform, model.tenant)
        if model.canary is not None:
            name = f"{model.name}-{model.canary.name}"
            clash = owned.get((tenant, name), versions.get((tenant, name)))
            if clash is not None:
                yield Finding(
                    ("models", index, "canary", "name"),
                    f"the canary is deployed as {name}, which is also the name that models[{clash}] is deployed under",
                    found=shown(model.canary.name),
                    fix="rename the canary or that model",
                )
            versions.setdefault((tenant, name), index)
        for number, adapter in enumerate(model.lora):
            key = (tenant, adapter.name)
            clash = owned.get(key, adapters.get(key))
            if clash is not None and (clash != index or adapter.name == model.name):
                yield Finding(
                    ("models", index, "lora", number, "name"),
                    f"requests name it as `model`, and models[{clash}] of the same tenant has that name",
                    found=shown(adapter.name),
                    fix="rename the adapter",
                )
            adapters.setdefault(key, index)
    own = {item.name: item.tenant for item in platform.models}
    for index, graph in enumerate(platform.graphs):
        first = next((step.model for step in graph.steps if step.model), None)
        tenant = tenant_of(platform, graph.tenant or own.get(first or ""))
        if (tenant, graph.name) in owned:
            yield Finding(
                ("graphs", index, "name"),
                f"models[{owned[tenant, graph.name]}] of the same tenant has that name, and both make a Service",
                found=shown(graph.name),
                fix="rename the graph",
            )


def namespaces(platform: Platform) -> Iterator[Finding]:
    """A tenant's namespace gets quotas and default-deny policies: it is no one else's."""
    components = {
        platform.autoscaling.keda_namespace: "KEDA",
        platform.observability.namespace: "Prometheus",
        platform.serving.gateway.namespace: "the gateway",
    }
    taken: dict[str, int] = {}
    for index, tenant in enumerate(platform.tenants):
        name = tenant.resolved_namespace
        path: Path = ("tenants", index, "namespace" if tenant.namespace else "name")
        if name in taken:
            if (
                tenant.namespace or platform.tenants[taken[name]].namespace
            ):  # equal names are reported as such
                yield Finding(
                    path,
                    f"tenants[{taken[name]}] has the same namespace, and quotas count per namespace",
                    found=shown(name),
                    wanted="a namespace of its own",
                )
        elif name in _SYSTEM or name.startswith("kube-"):
            yield Finding(
                path, "is a namespace of Kubernetes itself", found=shown(name), fix="name another namespace"
            )
        elif name in components:
            yield Finding(
                path,
                f"is the namespace of {components[name]}, which a tenant's quota and network policies would break",
                found=shown(name),
                fix="name another namespace",
            )
        taken.setdefault(name, index)
