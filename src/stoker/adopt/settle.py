"""A document that passes its own check: what does not fit gives way, one field after the other, and each time it is told.

The check and sizing judge, as they judge a file that a person wrote; here is only what to do about each answer.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.planned import PlannedModel
from stoker.adopt.pools import PlannedPool
from stoker.errors import InputError, Problem
from stoker.platform.base import bytes_of, millicores_of
from stoker.platform.load import loads
from stoker.render.yaml_text import dump
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform

__all__ = ["settle"]

_ROUNDS: Final = 24
_STEP: Final = re.compile(r"([A-Za-z]+)|\[(\d+)\]|\[\"(.*?)\"\]")
_NEEDED: Final = frozenset(("name", "source", "engine", "tenant"))
_SIZES: Final = ((), ("contextLength",), ("quantization",), ("source",), ("architecture",))
_GIVING: Final = ("gpuMemoryUtilization", "maxNumSeqs", "quantization", "pool")  # last resorts, in this order


@dataclass
class _State:
    document: dict[str, Any]
    models: list[PlannedModel]
    pools: list[PlannedPool]
    ledger: Ledger
    lost: list[Problem] = field(default_factory=list)

    def planned(self, index: int) -> PlannedModel:
        return self.models[index]


def settle(
    document: dict[str, Any], models: list[PlannedModel], pools: list[PlannedPool], others: dict[str, int], ledger: Ledger
) -> None:  # fmt: skip
    """Change the document until it passes; ``others`` are GPUs by pool that workloads beside the models take.

    Raises:
        InputError: nothing is left of it.
    """
    state = _State(document, models, pools, ledger)
    resolved = _passing(state)
    _room(state, resolved)
    for pool in pools:
        if not pool.counted:
            _count(state, pool, resolved, others.get(pool.name, 0))
    _passing(state)


def _passing(state: _State) -> ResolvedPlatform:
    for turn in range(_ROUNDS):
        try:
            return resolve(loads(dump(state.document)))
        except InputError as error:
            problems = error.problems
        if not state.document["models"]:
            break
        last = turn >= _ROUNDS - 4
        _give_way(state, problems, last=last)
        if not state.document["models"]:
            break
    nothing = Problem("nothing here can be carried over into a platform file that would pass its check")
    raise InputError([nothing, *state.lost[:10]])


def _give_way(state: _State, problems: tuple[Problem, ...], *, last: bool) -> None:
    """One step for each place that has a problem; models are taken out at the end, from the last on."""
    seen: set[tuple[str | int, ...]] = set()
    gone: dict[int, Problem] = {}
    for problem in problems:
        path = _path(problem.path)
        key = path[:2] if path[:1] == ("models",) and len(path) < 4 else path
        if key in seen:
            continue
        seen.add(key)
        if path[:1] == ("models",) and len(path) > 1 and isinstance(path[1], int):
            if last or not _model(state, path[1], path[2:], problem):
                gone[path[1]] = problem
        elif path[:1] == ("pools",) and len(path) > 1 and isinstance(path[1], int):
            _pool(state, path[1], path[2:], problem)
        elif path[:1] == ("tenants",) and len(path) > 1 and isinstance(path[1], int):
            _tenant(state, path[1], path[2:], problem)
        else:
            _drop(state.document, path, state.ledger, problem)
    for index in sorted(gone, reverse=True):
        _remove(state, index, gone[index])


def _path(text: str) -> tuple[str | int, ...]:
    """``models[0].engine.args[2]`` taken apart."""
    return tuple(match[1] or (int(match[2]) if match[2] else match[3]) for match in _STEP.finditer(text))


def _model(state: _State, index: int, rest: tuple[str | int, ...], problem: Problem) -> bool:
    """Whether something of the model gave way."""
    entry = state.document["models"][index]
    planned = state.planned(index)
    item, ledger = planned.server.item, state.ledger
    if rest[:1] == ("parallelism",) or (rest[:1] in _SIZES and "fits no pool" in problem.message):
        return _fit(state, index, problem)
    if rest[:1] == ("canary",) and "canary" in entry:
        ledger.note(item, (), f"its canary is not carried over: {problem.message}")
        del entry["canary"]
        return True
    if rest[:1] == ("engine",) and len(rest) > 1:
        return _inside(entry, rest, planned, ledger, problem)
    if rest and rest[0] not in _NEEDED and rest[0] in entry:
        if len(rest) > 1 and isinstance(entry[rest[0]], dict):
            return _inside(entry, rest, planned, ledger, problem)
        ledger.note(item, (), f"{rest[0]} is not carried over: {problem.message}")
        del entry[rest[0]]
        return True
    return False


def _inside(
    entry: dict[str, Any],
    rest: tuple[str | int, ...],
    planned: PlannedModel,
    ledger: Ledger,
    problem: Problem,
) -> bool:
    """Take out the deepest part of a field that a problem names; never what the part cannot be without."""
    found: Any = entry
    for depth, step in enumerate(rest):
        below = rest[depth + 1 :]
        if (
            isinstance(found, dict)
            and step in found
            and (not below or not isinstance(found[step], dict | list) or depth == 2)
        ):
            if step == "name" and depth == 1:
                return False
            del found[step]
            break
        if isinstance(found, list) and isinstance(step, int) and step < len(found):
            del found[step]
            break
        found = found.get(str(step)) if isinstance(found, dict) else None
        if found is None:
            return False
    ledger.note(
        planned.server.item, (), f"{problem.path.partition('.')[2]} is not carried over: {problem.message}"
    )
    return True


def _fit(state: _State, index: int, problem: Problem) -> bool:
    entry, planned, ledger = state.document["models"][index], state.planned(index), state.ledger
    server = planned.server
    layout = entry.get("parallelism")
    pool = planned.pool
    size = pool.entry.get("gpusPerNode") if pool else None
    if (
        isinstance(layout, dict)
        and pool
        and "fabric" in problem.message
        and "fabric" not in pool.entry
        and not (pool.entry.get("sharing"))
    ):
        pool.entry["fabric"] = (
            "efa" if str(pool.entry.get("shape", "")).startswith(("p", "g")) else "infiniband"
        )
        ledger.assume(
            f"pools.{pool.name}.fabric", pool.entry["fabric"], f"a replica of {planned.name} spans nodes"
        )
        return True
    if "contextLength" in planned.weak and "contextLength" in entry:
        planned.weak.discard("contextLength")
        ledger.retract(f"models.{planned.name}.contextLength")
        ledger.note(
            server.item, server.container.path,
            f"no context length is set, and the model's maximum of {entry.pop('contextLength')} tokens does not fit as it is laid out: the schema's "
            "default is taken",
        )  # fmt: skip
        return True
    if isinstance(layout, dict):
        text = " ".join(
            f"{short}{layout[key]}"
            for key, short in (("tensor", "TP"), ("pipeline", "PP"), ("data", "DP"))
            if layout[key] > 1 or key == "tensor"
        )
        flag = server.flag("--tensor-parallel-size", "--tp-size", "--tp", "--num-shard")
        where = flag.path if flag else (*server.container.path, "resources")
        reason = problem.message.partition(": ")[2] or problem.message
        ledger.note(
            server.item,
            where,
            f"{text} does not hold {planned.name} ({reason[:200]}): sizing chooses the layout",
        )
        entry["parallelism"] = "auto"
        return True
    if entry.get("contextLength"):
        ledger.note(
            server.item,
            server.container.path,
            f"a context of {entry.pop('contextLength')} tokens fits in no layout: the schema's default is taken",
        )
        return True
    if pool and size and not pool.counted and size < pool.gpu.gpus_per_node:
        pool.entry["gpusPerNode"] = pool.gpu.gpus_per_node
        return True
    for key in _GIVING:
        if key in entry:
            ledger.note(
                server.item,
                server.container.path,
                f"{key} {entry.pop(key)} is not carried over: with it the model fits in no layout",
            )
            return True
    return False


def _pool(state: _State, index: int, rest: tuple[str | int, ...], problem: Problem) -> None:
    entry, pool = state.document["pools"][index], state.pools[index]
    wanted = re.search(r"(\d+) nodes", problem.wanted)
    if rest[:1] == ("nodes",) and wanted:
        need = min(int(wanted[1]), 10_000)
        if pool.counted:
            entry["maxNodes"] = need
            state.ledger.note_text(
                f"pool {pool.name}",
                0,
                f"{problem.message}: maxNodes is set to {need}; add nodes, or lower replicas.min",
            )
            return
        entry["nodes"] = need
        return
    _drop(state.document, ("pools", index, *rest), state.ledger, problem)


def _tenant(state: _State, index: int, rest: tuple[str | int, ...], problem: Problem) -> None:
    entry = state.document["tenants"][index]
    wanted = re.search(r"at least (\d+)", problem.wanted)
    ceiling = entry.get("quota", {}).get("gpus")
    if rest[:2] == ("quota", "gpus") and wanted and isinstance(ceiling, dict) and problem.found.isdigit():
        mine = [m for m in state.document["models"] if m.get("tenant") == entry["name"] and m.get("pool")]
        pool = next(
            (
                p
                for p in state.pools
                for m in mine
                if p.name == m["pool"] and any(r in problem.message for r in p.resources)
            ),
            None,
        )
        name = pool.name if pool else next((str(m["pool"]) for m in mine), next(iter(ceiling)))
        ceiling[name] = ceiling.get(name, 0) + int(wanted[1]) - int(problem.found)
        state.ledger.note_text(
            f"tenant {entry['name']}", 0,
            f"its GPU quota of today is {problem.found}, and its models need {wanted[1]} by sizing: the ceiling is raised to that",
        )  # fmt: skip
        return
    _drop(state.document, ("tenants", index, *rest), state.ledger, problem)


def _drop(document: dict[str, Any], path: tuple[str | int, ...], ledger: Ledger, problem: Problem) -> None:
    """Take the field out; where it is needed, what is around it."""
    while path:
        holder: Any = document
        for step in path[:-1]:
            holder = (
                holder.get(step)
                if isinstance(holder, dict)
                else holder[step]
                if isinstance(holder, list) and isinstance(step, int) and step < len(holder)
                else None
            )
        last = path[-1]
        there = (isinstance(holder, dict) and last in holder) or (
            isinstance(holder, list) and isinstance(last, int) and last < len(holder)
        )
        if there and last not in {"name", "kind"} and len(path) > 1:
            del holder[last]
            ledger.note_text(problem.path, 0, f"is not carried over: {problem.message}")
            return
        path = path[:-1]
    raise InputError([problem])


def _remove(state: _State, index: int, problem: Problem) -> None:
    planned = state.models.pop(index)
    del state.document["models"][index]
    server = planned.server
    state.lost.append(
        Problem(
            problem.message,
            path=planned.name,
            file=server.item.source.file,
            line=server.item.source.line,
            column=1,
            wanted=problem.wanted,
        )
    )
    prefix = f"models.{planned.name}."
    for path in [path for path in state.ledger.assumptions if path.startswith(prefix)]:
        state.ledger.retract(path)
    state.ledger.note(
        server.item, server.container.path, f"{server.engine} is not carried over: {problem.message[:300]}"
    )
    for graph in list(state.document.get("graphs", [])):
        if any(step.get("model") == planned.name for step in graph["steps"]):
            state.document["graphs"].remove(graph)
    if not state.document.get("graphs", True):
        del state.document["graphs"]


def _room(state: _State, resolved: ResolvedPlatform) -> None:
    """Ceilings that the pods, as they are sized now, would not pass: quotas of memory and pods, limits of one pod."""
    for entry in state.document.get("tenants", []):
        models = [model for model in resolved.models.values() if model.tenant.name == entry["name"]]
        if not models:
            continue
        copies = {
            m.name: (m.max_replicas + m.max_surge + (m.canary.replicas if m.canary else 0))
            * m.nodes_per_replica
            for m in models
        }
        quota, guards = entry.get("quota", {}), entry.get("guardrails", {})
        needs = (
            (quota, "memory", sum(copies[m.name] * m.memory_bytes for m in models), bytes_of),
            (quota, "cpu", sum(copies[m.name] * m.millicores for m in models), millicores_of),
            (quota, "pods", sum(copies.values()), int),
            (guards, "maxMemoryPerContainer", max(m.memory_bytes for m in models), bytes_of),
            (guards, "maxGpusPerPod", max(m.gpus_per_pod for m in models), int),
        )
        for section, key, need, measure in needs:
            if key in section and measure(section[key]) < need:
                state.ledger.note_text(
                    f"tenant {entry['name']}", 0,
                    f"{key} {section.pop(key)} of today is less than its models need as they are sized here: it is left out",
                )  # fmt: skip
        for key in ("quota", "guardrails"):
            if key in entry and not entry[key]:
                del entry[key]


def _count(state: _State, pool: PlannedPool, resolved: ResolvedPlatform, others: int) -> None:
    """Nodes for every model at its peak, for what runs beside them, and for every quota."""
    found = resolved.pools[pool.name]
    need = 1
    for item in found.slices:
        peak = (
            sum(
                m.peak_gpus
                for m in resolved.models.values()
                if m.pool.name == pool.name and m.slice.resource == item.resource
            )
            + others
        )
        promised = sum(
            quota["gpus"].get(pool.name, 0)
            for tenant in state.document.get("tenants", [])
            if isinstance((quota := tenant.get("quota", {})).get("gpus"), dict)
        )
        need = max(need, -(-max(peak, promised) // item.per_node))
    pool.entry["nodes"] = min(need, 10_000)
    state.ledger.assume(
        f"pools.{pool.name}.nodes",
        pool.entry["nodes"],
        "what the models need at their peak and the quotas promise: no Node was read",
    )
