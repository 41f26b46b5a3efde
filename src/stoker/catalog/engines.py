"""Inference engines: image, ports, paths, metric names and flags, as of each release.

A fact carries the first release that has it (``since``) and the first that has it no more (``until``), so that any
version a user names gets the facts of that version, not those of the newest one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from stoker.catalog._load import read_data
from stoker.catalog.versions import in_range, version_key
from stoker.errors import UnknownNameError

__all__ = [
    "Engine",
    "EngineRelease",
    "FlagState",
    "FlagStatus",
    "Metric",
    "MetricFact",
    "MetricType",
    "ModelArgument",
    "default_version",
    "engine",
    "engines",
    "flag_status",
    "release",
]

_NAMES: Final = ("vllm", "sglang", "tgi", "triton", "huggingface", "custom")


class Metric(StrEnum):
    """What a series means, whatever an engine calls it. ``*_BUCKET`` roles are histogram buckets."""

    REQUESTS_RUNNING = "REQUESTS_RUNNING"
    REQUESTS_WAITING = "REQUESTS_WAITING"
    WAITING_BY_REASON = "WAITING_BY_REASON"
    KV_CACHE_USAGE = "KV_CACHE_USAGE"
    PREEMPTIONS = "PREEMPTIONS"
    PROMPT_TOKENS = "PROMPT_TOKENS"
    GENERATION_TOKENS = "GENERATION_TOKENS"
    TTFT_BUCKET = "TTFT_BUCKET"
    ITL_BUCKET = "ITL_BUCKET"
    TPOT_BUCKET = "TPOT_BUCKET"
    E2E_BUCKET = "E2E_BUCKET"
    QUEUE_TIME_BUCKET = "QUEUE_TIME_BUCKET"
    PREFILL_TIME_BUCKET = "PREFILL_TIME_BUCKET"
    DECODE_TIME_BUCKET = "DECODE_TIME_BUCKET"
    REQUEST_SUCCESS = "REQUEST_SUCCESS"
    PREFIX_CACHE_HITS = "PREFIX_CACHE_HITS"
    PREFIX_CACHE_QUERIES = "PREFIX_CACHE_QUERIES"
    ADMISSION_REJECTIONS = "ADMISSION_REJECTIONS"
    CACHE_CONFIG_INFO = "CACHE_CONFIG_INFO"
    LORA_INFO = "LORA_INFO"


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class ModelArgument(StrEnum):
    """How the engine's command line is told which model to load."""

    POSITIONAL = "positional"  # vllm serve MODEL
    FLAG = "flag"  # --model-path MODEL
    REPOSITORY = "repository"  # a model repository directory (Triton)
    NONE = "none"  # a custom image knows by itself


@dataclass(frozen=True, slots=True)
class MetricFact:
    """One series on the wire.

    Attributes:
        name: series as PromQL reads it: counters with ``_total`` where the client adds it, histograms with ``_bucket``.
        type: Prometheus type.
        labels: labels the engine itself sets (``le`` not listed); pod and namespace come from the scrape.
        unit: ``requests``, ``seconds``, ``microseconds``, ``tokens``, ``ratio`` (0-1), ``info``.
        buckets: upper bounds of a histogram without ``+Inf``; empty where unknown or no histogram.
        source: upstream path and version, or URL.
        note: what a reader of the series must know.
    """

    name: str
    type: MetricType
    labels: tuple[str, ...]
    unit: str
    buckets: tuple[float, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def base(self) -> str:
        """Name without the histogram suffix: ``base_sum`` and ``base_count`` exist beside ``base_bucket``."""
        return self.name.removesuffix("_bucket")


class FlagState(StrEnum):
    KNOWN = "known"
    REMOVED = "removed"
    DEPRECATED = "deprecated"
    FUTURE = "future"  # appears in a later release than the one asked about
    UNKNOWN = "unknown"  # the catalogue does not list it: no judgement


@dataclass(frozen=True, slots=True)
class FlagStatus:
    """What the catalogue knows of a flag in one release. ``replacement`` is empty where there is none."""

    flag: str
    state: FlagState
    replacement: str = ""
    since: str | None = None
    until: str | None = None
    note: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class EngineRelease:
    """The facts of one release.

    Attributes:
        engine: catalogue name.
        version: the version asked for.
        facts_version: newest release not newer than ``version`` whose facts were read.
        image: repository of the published image, empty for ``custom``.
        tag: its tag for ``version``.
        digest: ``sha256:…`` where it could be sourced, else None.
        entrypoint: what the image runs; arguments we emit follow it.
        model_argument, model_flag: how the model is named to it.
        port: HTTP port; ``metrics_port`` differs for Triton only.
        health_path: 200 while the server lives. ``readiness_path``: 200 once it can answer. ``metrics_path``: Prometheus text.
        openai_prefix: path in front of ``/chat/completions``; empty where the engine has no OpenAI API.
        model_label: label that carries the served model's name, empty where none does.
        metrics_flag: argument without which there is no ``/metrics``; empty where it is always on.
        metrics: series by role; a role the release has no series for is absent.
        defaults: defaults of flags that sizing needs (``gpu_memory_utilization`` …).
        notes: what differs from what was asked, or needs to be known.
        source: where image and entrypoint were read.
    """

    engine: str
    version: str
    facts_version: str
    image: str
    tag: str
    digest: str | None
    entrypoint: tuple[str, ...]
    model_argument: ModelArgument
    model_flag: str
    port: int
    metrics_port: int
    health_path: str
    readiness_path: str
    metrics_path: str
    openai_prefix: str
    model_label: str
    metrics_flag: str
    metrics: Mapping[Metric, MetricFact] = field(hash=False)
    defaults: Mapping[str, Any] = field(hash=False)
    notes: tuple[str, ...] = ()
    source: str = ""

    @property
    def image_ref(self) -> str:
        """Pinned reference: ``repository:tag`` and the digest where it is known; empty without an image."""
        if not self.image:
            return ""
        reference = f"{self.image}:{self.tag}"
        return f"{reference}@{self.digest}" if self.digest else reference

    def metric(self, role: Metric) -> str | None:
        """Series name of a role, None where this release has no such series."""
        fact = self.metrics.get(role)
        return fact.name if fact else None


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine over all its releases.

    Attributes:
        title: name as its project writes it.
        status: ``active``, ``maintenance`` or ``user`` (a custom image).
        default_version: the pinned one.
        releases: versions whose source was read, oldest first.
    """

    name: str
    title: str
    status: str
    default_version: str
    releases: tuple[str, ...]
    source: str
    note: str = ""


def _data(name: str) -> dict[str, Any]:
    if name not in _NAMES:
        raise UnknownNameError("engine", name, _NAMES)
    data: dict[str, Any] = read_data("engines.yaml" if name == "custom" else f"engine_{name}.yaml")
    return data["custom"] if name == "custom" else data


def engines() -> tuple[Engine, ...]:
    """Every engine, in the order of the platform file's documentation."""
    return tuple(engine(name) for name in _NAMES)


@cache
def engine(name: str) -> Engine:
    """The engine called ``name``.

    Raises:
        UnknownNameError: no such engine.
    """
    data = _data(name)
    versions = sorted((str(version) for version in data["releases"]), key=version_key)
    return Engine(
        name=name,
        title=data["title"],
        status=data["status"],
        default_version=str(data["default_version"]),
        releases=tuple(versions),
        source=data["source"],
        note=data.get("note", ""),
    )


def default_version(name: str) -> str:
    """The version used where the platform file names none."""
    return engine(name).default_version


@cache
def release(name: str, version: str | None = None) -> EngineRelease:
    """Facts of ``version``: those in force at the newest release read that is not newer than it.

    A version newer than all that were read gets the newest facts, one older than all the oldest, with a note.

    Raises:
        UnknownNameError: no such engine.
        ValueError: ``version`` is no version.
    """
    about = engine(name)
    asked = version or about.default_version
    known = [entry for entry in about.releases if version_key(entry) <= version_key(asked)]
    facts_version = known[-1] if known else about.releases[0]
    data = _data(name)
    server = {key: _at(value, facts_version) for key, value in data["server"].items()}
    port = int(server["port"])
    return EngineRelease(
        engine=name,
        version=asked,
        facts_version=facts_version,
        image=server["image"],
        tag=str(server["tag"]).replace("{version}", asked.removeprefix("v")),
        digest=data.get("digests", {}).get(asked),
        entrypoint=tuple(server["entrypoint"]),
        model_argument=ModelArgument(server["model_argument"]),
        model_flag=server.get("model_flag") or "",
        port=port,
        metrics_port=int(server.get("metrics_port") or port),
        health_path=server["health_path"],
        readiness_path=server["readiness_path"],
        metrics_path=server["metrics_path"],
        openai_prefix=server.get("openai_prefix") or "",
        model_label=server.get("model_label") or "",
        metrics_flag=server.get("metrics_flag") or "",
        metrics=MappingProxyType(_metrics(data, facts_version)),
        defaults=MappingProxyType(
            {key: _at(value, facts_version) for key, value in data["defaults"].items()}
        ),
        notes=_notes(about, asked, facts_version),
        source=about.source,
    )


def flag_status(name: str, version: str | None, flag: str) -> FlagStatus:
    """Whether ``flag`` (with or without value, either spelling of ``_`` and ``-``) works in that release.

    Raises:
        UnknownNameError: no such engine.
        ValueError: ``version`` is no version.
    """
    asked = version or default_version(name)
    wanted = canonical_flag(flag)
    table: Mapping[str, Any] = _data(name).get("flags", {})
    entry = table.get(wanted)
    if entry is None:
        owner = next((key for key, value in table.items() if wanted in value.get("aliases", ())), None)
        if owner is None:
            return FlagStatus(wanted, FlagState.UNKNOWN)
        entry = table[owner]
    since, until, deprecated = (_text(entry.get(key)) for key in ("since", "until", "deprecated"))
    if not in_range(asked, since, None):
        state = FlagState.FUTURE
    elif not in_range(asked, None, until):
        state = FlagState.REMOVED
    elif deprecated is not None and in_range(asked, deprecated, None):
        state = FlagState.DEPRECATED
    else:
        state = FlagState.KNOWN
    return FlagStatus(
        flag=wanted,
        state=state,
        replacement=entry.get("replacement", ""),
        since=since,
        until=until,
        note=entry.get("note", ""),
        source=entry.get("source", ""),
    )


def canonical_flag(flag: str) -> str:
    """``--tensor_parallel_size=4`` as ``--tensor-parallel-size``; short options stay as they are."""
    name = flag.split("=", 1)[0].strip()
    if not name.startswith("-"):
        name = f"--{name}"
    return name if not name.startswith("--") else "--" + name[2:].replace("_", "-")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _at(value: Any, version: str) -> Any:
    """A plain value, or of a list of ``{value, since, until}`` the one in force at ``version``."""
    if not (isinstance(value, list) and value and isinstance(value[0], dict) and "value" in value[0]):
        return value
    found = [
        entry["value"]
        for entry in value
        if in_range(version, _text(entry.get("since")), _text(entry.get("until")))
    ]
    return found[-1] if found else None


def _metrics(data: Mapping[str, Any], version: str) -> dict[Metric, MetricFact]:
    found: dict[Metric, MetricFact] = {}
    for role in Metric:
        for entry in data["metrics"].get(role.value, ()):
            if in_range(version, _text(entry.get("since")), _text(entry.get("until"))):
                found[role] = _metric(data, entry, version)
    return found


def _metric(data: Mapping[str, Any], entry: Mapping[str, Any], version: str) -> MetricFact:
    buckets = entry.get("buckets", ())
    if isinstance(buckets, str):
        buckets = _at(data["buckets"][buckets], version) or ()
    labels = entry.get("labels", "base")
    if isinstance(labels, str):
        labels = _at(data["labels"][labels], version) or ()
    return MetricFact(
        name=entry["name"],
        type=MetricType(entry["type"]),
        labels=tuple(labels),
        unit=entry["unit"],
        buckets=tuple(float(bound) for bound in buckets),
        source=entry.get("source", data["source"]),
        note=entry.get("note", ""),
    )


def _notes(about: Engine, asked: str, facts_version: str) -> tuple[str, ...]:
    notes = [about.note] if about.note else []
    key, newest, oldest = (version_key(text) for text in (asked, about.releases[-1], about.releases[0]))
    if about.name == "custom":
        return tuple(notes)
    if key[:2] > newest[:2]:
        notes.append(
            f"{about.title} {asked} is newer than {facts_version}, the newest release whose source was read; its flags and metrics are assumed unchanged."
        )
    elif key < oldest:
        notes.append(
            f"{about.title} {asked} is older than {facts_version}, the oldest release whose source was read; its flags and metrics may differ."
        )
    return tuple(notes)
