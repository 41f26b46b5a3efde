"""Engine flags: what this release knows, what contradicts, what is on anyway."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Op, Severity, remove, replace
from stoker.audit.rule import rule
from stoker.audit.view.command import Flag
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.catalog.engines import FlagState, default_version, flag_status, release
from stoker.catalog.flags import is_option, known_flags, span
from stoker.catalog.versions import version_key
from stoker.errors import nearest

_PARSER: Final = "vllm 0.33.0 vllm/utils/argparse_utils.py:325-372"


def _versioned(view: View) -> Iterator[Server]:
    """Servers whose release is known: by the tag of the engine's own image, the newest for one that follows `latest`."""
    yield from (s for s in view.servers if s.release is not None and s.command.flags)


def _cut(flag: Flag) -> tuple[Op, ...]:
    """Steps that take a flag off its command line; none where it is part of a script."""
    return () if flag.scripted else tuple(remove(word.path) for word in flag.words)


@rule(
    "engine-flag-removed",
    Area.SERVING,
    Severity.ERROR,
    title="Flag that this release of the engine no longer has",
    why="The server prints its usage and exits: CrashLoopBackOff at the upgrade of the image, with every old replica already stopped.",
    fix="Drop the flag, or use its replacement.",
    references=(_PARSER, "vllm release notes; stoker catalog engines vllm"),
    on=_versioned,
)
def _engine_flag_removed(server: Server, view: View) -> Iterator[Hit]:
    version = server.release or ""
    for flag in server.command.flags:
        status = flag_status(server.engine, version, flag.name)
        if status.state is FlagState.REMOVED:
            new = f"; use {status.replacement}" if status.replacement else ""
            ops = () if status.replacement else _cut(flag)
            yield Hit(server.workload.item, flag.path, f"{flag.name} is gone since {server.engine} {status.until}, and {version} runs here{new}", flag.name,
                      Fix(f"Use {status.replacement}" if status.replacement else f"Drop {flag.name}", ops))  # fmt: skip
        elif status.state is FlagState.FUTURE and server.version is not None:
            yield Hit(
                server.workload.item,
                flag.path,
                f"{flag.name} came with {server.engine} {status.since}, and {version} runs here",
                flag.name,
            )


@rule(
    "engine-flag-unknown",
    Area.SERVING,
    Severity.ERROR,
    title="Flag that this release of the engine does not know",
    why="The server prints `unrecognized arguments` and exits before it loads anything: CrashLoopBackOff from the first second.",
    fix="Correct the name, or use a release that has the flag.",
    references=("vllm source distributions on PyPI, all options by release (read 2026-11-24)", _PARSER),
    on=lambda view: (s for s in view.servers if _listed(s) is not None and s.command.flags),
)
def _engine_flag_unknown(server: Server, view: View) -> Iterator[Hit]:
    known = _listed(server)
    for flag in server.command.flags:
        if (
            known is None
            or is_option(flag.name, known)
            or flag_status(server.engine, server.version, flag.name).state is not FlagState.UNKNOWN
        ):
            continue
        when = span(server.engine, flag.name)
        near = nearest(flag.name, known, limit=1)
        if (
            when is not None
            and when.until is not None
            and version_key(when.until) <= version_key(server.version or "0")
        ):
            told = f"{flag.name} was there until {server.engine} {when.until}"
        elif when is not None and when.since is not None:
            told = f"{flag.name} came with {server.engine} {when.since}"
        else:
            told = f"{server.engine} has no flag {flag.name}" + (f"; did you mean {near[0]}?" if near else "")
        ops: tuple[Op, ...] = ()
        if when is None and near and not flag.scripted:
            ops = (
                replace(
                    flag.path, flag.words[0].text.replace(flag.words[0].text.partition("=")[0], near[0], 1)
                ),
            )
        yield Hit(
            server.workload.item,
            flag.path,
            f"{told}, and {server.version} runs here",
            flag.name,
            Fix(f"Write {near[0]}", ops) if ops else None,
        )


def _listed(server: Server) -> frozenset[str] | None:
    """Every flag of the server's release, where its own image tells which that is."""
    return (
        known_flags(server.engine, server.version)
        if server.official and server.version and server.engine == "vllm"
        else None
    )


@rule(
    "vllm-model-flag-deprecated",
    Area.SERVING,
    Severity.WARNING,
    title="Model is named with --model, which vllm serve is about to drop",
    why="The image's entrypoint is `vllm serve`, which warns that --model will be removed: a later image does not start with it.",
    fix="Name the model as the first argument, without a flag.",
    references=(_PARSER,),
    on=_versioned,
)
def _vllm_model_flag_deprecated(server: Server, view: View) -> Iterator[Hit]:
    flag = server.flag("--model")
    if server.engine != "vllm" or flag is None or _own_program(server):
        return
    if flag_status("vllm", server.release, "--model").state is not FlagState.DEPRECATED:
        return
    ops: tuple[Op, ...] = ()
    first = server.command.words[:1] == flag.words[:1]
    if not flag.scripted and first and len(flag.words) == 2:  # the flag and its value
        ops = (remove(flag.words[0].path),)
    elif not flag.scripted and first and len(flag.words) == 1:
        ops = (replace(flag.path, flag.value),)
    yield Hit(
        server.workload.item,
        flag.path,
        f"--model {flag.value} is deprecated",
        flag.value,
        Fix("Name the model first, without the flag", ops),
    )


def _own_program(server: Server) -> bool:
    """Started as python -m vllm.entrypoints…, where --model is the way."""
    return any("api_server" in str(word) for word in server.container.spec.get("command") or []) or any(
        "api_server" in str(word) for word in server.container.spec.get("args") or []
    )


@rule(
    "vllm-flag-redundant",
    Area.SERVING,
    Severity.INFO,
    title="Flag that is the engine's default",
    why="Chunked prefill and prefix caching are on in the V1 engine: the flag changes nothing, and its reader believes that it tunes something.",
    fix="Drop it, and tune --max-num-batched-tokens where prefill matters.",
    references=(
        "vllm 0.33.0 vllm/config/scheduler.py (enable_chunked_prefill)",
        "vllm 0.33.0 vllm/engine/arg_utils.py:3041",
    ),
    on=lambda view: (s for s in view.servers if s.engine == "vllm" and s.command.flags),
)
def _vllm_flag_redundant(server: Server, view: View) -> Iterator[Hit]:
    version = server.release or (default_version("vllm") if not server.image.repository else None)
    if version is None or not _v1(version):
        return
    for name in ("--enable-chunked-prefill", "--enable-prefix-caching"):
        flag = server.flag(name)
        if flag is not None and flag.value.lower() in {"", "true"}:
            yield Hit(
                server.workload.item,
                flag.path,
                f"{name} is on by default",
                flag.name,
                Fix(f"Drop {name}", _cut(flag)),
            )


def _v1(version: str) -> bool:
    return version_key(version) >= version_key("0.9.0")


@rule(
    "engine-flags-contradict",
    Area.SERVING,
    Severity.ERROR,
    title="Flags that contradict each other",
    why="One of the two does not take effect, or the server refuses to start: what runs is not what the manifest says.",
    fix="Keep one of them.",
    references=(_PARSER,),
    on=lambda view: (s for s in view.servers if len(s.command.flags) > 1),
)
def _engine_flags_contradict(server: Server, view: View) -> Iterator[Hit]:
    names = {flag.name: flag for flag in server.command.flags}
    for name, flag in names.items():
        opposite = f"--no-{name.removeprefix('--')}"
        if opposite in names:
            yield Hit(
                server.workload.item, flag.path, f"{name} and {opposite} stand on one command line", name
            )
    length, batched = server.number("--max-model-len"), server.number("--max-num-batched-tokens")
    unchunked = "--no-enable-chunked-prefill" in names
    if unchunked and length and batched and batched < length:
        yield Hit(
            server.workload.item, names["--max-num-batched-tokens"].path,
            f"without chunked prefill a prompt of {length:.0f} tokens does not fit a batch of {batched:.0f}", batched,
        )  # fmt: skip
    seen: dict[str, Flag] = {}
    for flag in server.command.flags:
        earlier = seen.get(flag.name)
        repeatable = flag.name in {
            "--lora-modules",
            "--allowed-origins",
            "--middleware",
            "--env",
            "-cc",
            "--compilation-config",
        }
        if (
            earlier is not None
            and flag.values != earlier.values
            and not repeatable
            and flag.name.startswith("--")
            and flag.values
        ):
            yield Hit(
                server.workload.item,
                flag.path,
                f"{flag.name} is given twice: {earlier.value} and {flag.value}",
                flag.value,
            )
        seen[flag.name] = flag


@rule(
    "vllm-stats-disabled",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="vLLM's metrics are switched off",
    why="--disable-log-stats takes every vllm: series away: no queue depth to scale on, no latency to alert on.",
    fix="Drop --disable-log-stats.",
    references=(
        "vllm 0.33.0 vllm/v1/metrics/loggers.py",
        "vllm 0.33.0 vllm/entrypoints/serve/instrumentator/metrics.py",
    ),
    on=lambda view: (s for s in view.servers if s.engine == "vllm" and s.command.flags),
)
def _vllm_stats_disabled(server: Server, view: View) -> Iterator[Hit]:
    flag = server.flag("--disable-log-stats")
    if flag is not None and flag.value.lower() != "false":
        yield Hit(
            server.workload.item,
            flag.path,
            "--disable-log-stats removes every vllm: series",
            flag.name,
            Fix("Drop --disable-log-stats", _cut(flag)),
        )


@rule(
    "engine-image-unpinned",
    Area.SERVING,
    Severity.WARNING,
    title="Image of the model server is not pinned",
    why=(
        "Metrics and flags change with every minor release: a rescheduled pod pulls another engine than its neighbours, alerts "
        "and scaling read series that no longer exist, and nobody deployed anything."
    ),
    fix="Pin a version, and its digest where you can.",
    references=("https://kubernetes.io/docs/concepts/containers/images/#image-names",),
    on=lambda view: (s for s in view.servers if s.image.repository),
)
def _engine_image_unpinned(server: Server, view: View) -> Iterator[Hit]:
    text = server.container.image
    # A name without a registry or an owner is no engine's image: kustomize or a webhook fills it in.
    if server.image.pinned or "$" in text or "{" in text or "/" not in text:
        return
    reference = release(server.engine).image_ref
    own = reference.partition(":")[0].removeprefix("docker.io/") == server.image.repository.removeprefix(
        "docker.io/"
    )
    path = (*server.container.path, "image")
    ops = (replace(path, reference),) if own and reference else ()
    tag = server.image.tag or "no tag"
    yield Hit(server.workload.item, path, f"{server.container.image} ({tag}) is another image tomorrow", server.container.image,
              Fix(f"Pin {reference}" if own else "Pin a version", ops))  # fmt: skip
