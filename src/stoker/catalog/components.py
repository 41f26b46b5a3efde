"""Cluster components: pinned chart versions and the Kubernetes minors their own projects name."""

from dataclasses import dataclass
from functools import cache

from stoker.catalog._load import read_data
from stoker.catalog.kubernetes import minor_number
from stoker.catalog.versions import version_key
from stoker.errors import UnknownNameError

__all__ = [
    "Compatibility",
    "Component",
    "ComponentVersion",
    "DcgmCounter",
    "compatible",
    "component",
    "components",
    "dcgm_counters",
    "pick",
]


@dataclass(frozen=True, slots=True)
class ComponentVersion:
    """One pinned version. A bound is None where none was found stated by the project."""

    version: str
    min_minor: str | None
    max_minor: str | None
    source: str

    def covers(self, minor: str) -> bool:
        """Whether the minor is within the bounds that the project states."""
        number = minor_number(minor)
        if self.min_minor is not None and number < minor_number(self.min_minor):
            return False
        return self.max_minor is None or number <= minor_number(self.max_minor)


@dataclass(frozen=True, slots=True)
class Component:
    """One component.

    Attributes:
        repository: Helm repository URL or ``oci://`` prefix; empty for a component installed from ``manifest``.
        chart, release, namespace: Helm's words.
        manifest: URL of a manifest where there is no chart, with ``{version}`` in it.
        versions: pinned versions in order of preference.
        crds: ``Kind.group`` of the CRDs it brings.
        why: one sentence.
        upgrade: 1 scheduling, 2 serving, 3 autoscaling, 4 tenancy, 5 observability.
        wave: order of installation; a lower wave stands first.
        depends_on: components that must stand before it, where they are installed at all.
        bundled_in: components whose chart brings it already.
        pod_security: Pod Security level its namespace needs, empty for ``restricted`` or ``baseline``.
    """

    name: str
    repository: str
    chart: str
    namespace: str
    release: str
    versions: tuple[ComponentVersion, ...]
    crds: tuple[str, ...]
    why: str
    upgrade: int
    wave: int
    manifest: str = ""
    depends_on: tuple[str, ...] = ()
    bundled_in: tuple[str, ...] = ()
    pod_security: str = ""

    @property
    def version(self) -> str:
        """The preferred version; `pick` chooses by target minor."""
        return self.versions[0].version

    @property
    def supported(self) -> tuple[str | None, str | None]:
        """Oldest and newest minor over all pinned versions; None for a bound that is not stated."""
        low = [entry.min_minor for entry in self.versions]
        high = [entry.max_minor for entry in self.versions]
        oldest = None if None in low else min((bound for bound in low if bound), key=minor_number)
        newest = None if None in high else max((bound for bound in high if bound), key=minor_number)
        return oldest, newest


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Whether the target minor is within the bounds that a component's project states.

    Attributes:
        ok: no stated bound excludes the minor. It is no proof of a test where ``tested`` has a None.
        version: the version judged.
        tested: oldest and newest minor of that version; None for no stated bound.
        message: one sentence; empty where ``ok``.
    """

    ok: bool
    version: str
    tested: tuple[str | None, str | None]
    message: str = ""


@dataclass(frozen=True, slots=True)
class DcgmCounter:
    """A line of the DCGM exporter's counters file. ``default``: in the exporter's own list."""

    name: str
    type: str
    unit: str
    help: str
    default: bool

    @property
    def line(self) -> str:
        return f"{self.name}, {self.type}, {self.help}"


@cache
def components() -> tuple[Component, ...]:
    """Every component, in the order of installation."""
    entries = read_data("components.yaml")["components"]
    found = [
        Component(
            name=entry["name"],
            repository=entry.get("repository", ""),
            chart=entry.get("chart", ""),
            namespace=entry["namespace"],
            release=entry["release"],
            versions=tuple(
                ComponentVersion(str(item["version"]), item["min"], item["max"], item["source"])
                for item in entry["versions"]
            ),
            crds=tuple(entry["crds"]),
            why=entry["why"],
            upgrade=entry["upgrade"],
            wave=entry["wave"],
            manifest=entry.get("manifest", ""),
            depends_on=tuple(entry.get("depends_on", ())),
            bundled_in=tuple(entry.get("bundled_in", ())),
            pod_security=entry.get("pod_security", ""),
        )
        for entry in entries
    ]
    return tuple(sorted(found, key=lambda item: item.wave))


def component(name: str) -> Component:
    """The component called ``name``.

    Raises:
        UnknownNameError: no such component.
    """
    for entry in components():
        if entry.name == name:
            return entry
    raise UnknownNameError("component", name, [entry.name for entry in components()])


def pick(item: Component | str, minor: str) -> ComponentVersion:
    """The pinned version for a Kubernetes minor: the first that covers it, else the nearest.

    A minor newer than every range gets the newest version, an older one the oldest.
    """
    entry = component(item) if isinstance(item, str) else item
    for version in entry.versions:
        if version.covers(minor):
            return version
    ordered = sorted(entry.versions, key=lambda version: version_key(version.version))
    oldest = entry.supported[0]
    too_old = oldest is not None and minor_number(minor) < minor_number(oldest)
    return ordered[0] if too_old else ordered[-1]


def compatible(item: Component | str, minor: str, version: str | None = None) -> Compatibility:
    """Whether a component's version is meant for a Kubernetes minor.

    Args:
        item: the component or its name.
        minor: target minor, ``1.35``.
        version: a version other than the pinned ones is judged not ok, for nothing is known of it; None: `pick`.
    """
    entry = component(item) if isinstance(item, str) else item
    known = {one.version.removeprefix("v"): one for one in entry.versions}
    judged = pick(entry, minor) if version is None else known.get(version.removeprefix("v"))
    if judged is None:
        return Compatibility(
            ok=False,
            version=version or "",
            tested=entry.supported,
            message=f"{entry.name} {version} is not a version we pin; its range of Kubernetes minors and its values "
            "keys are unknown here",
        )
    tested = (judged.min_minor, judged.max_minor)
    if judged.covers(minor):
        return Compatibility(ok=True, version=judged.version, tested=tested)
    return Compatibility(
        ok=False,
        version=judged.version,
        tested=tested,
        message=f"{entry.name} {judged.version} is for Kubernetes {_range(judged)}; {minor} is outside",
    )


def _range(version: ComponentVersion) -> str:
    if version.min_minor and version.max_minor:
        return f"{version.min_minor} to {version.max_minor}"
    return f"{version.min_minor} or newer" if version.min_minor else f"{version.max_minor} or older"


@cache
def dcgm_counters() -> tuple[DcgmCounter, ...]:
    """The counters that rules and dashboards read, profiling ones included."""
    return tuple(DcgmCounter(**entry) for entry in read_data("dcgm_counters.yaml")["counters"])
