"""What the commands of `stoker canary` do: open the cluster, take the lease, run."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stoker.cli.choices import one_of
from stoker.cli.output import err
from stoker.errors import StokerError, UnsafeError

if TYPE_CHECKING:
    import httpx2

    from stoker.canary.plan import CanaryPlan
    from stoker.canary.prompts import PromptSet
    from stoker.canary.run import Probes, Runner, Telling
    from stoker.canary.scene import Scene
    from stoker.canary.state import CanaryState, Phase
    from stoker.canary.store import Store
    from stoker.kube.cluster import Cluster
    from stoker.sizing.resolved import ResolvedModel

__all__ = ["Options", "carry_out", "give_order", "read_state"]

_HAND_OVER_S: Final = (
    150.0  # of the wall: a run looks for orders every second or two, but for a pair that hangs
)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `stoker canary start`; times in the cluster's seconds."""

    steps: tuple[int, ...]
    prompts: Path | None
    prometheus: str | None
    probes: bool
    pairs: int
    reach: str
    margins: dict[str, float]
    alpha: float
    beta: float
    least: float
    most: float
    ready: float
    every: float
    on_deadline: str
    force: bool
    coarse: bool
    watch: bool


def carry_out(
    model: str, file: str, context: str | None, options: Options, *, is_quiet: bool
) -> "CanaryState":
    """Begin a run or go on with one; returns when it is over, or after one look.

    Raises:
        UnsafeError: somebody else runs it, or it would change more than the traffic.
        UnreachableError: the cluster does not answer; the traffic stays as it is, the same command goes on.
    """
    from stoker.canary.run import Runner
    from stoker.canary.scene import make_scene
    from stoker.canary.store import Store
    from stoker.canary.traffic import Traffic
    from stoker.cli.platform_file import read_platform
    from stoker.kube.cluster import open_cluster
    from stoker.kube.lease import hold

    one_of("--reach", options.reach, ("auto", "direct", "proxy"))
    one_of("--on-deadline", options.on_deadline, ("abort", "hold"))
    platform = read_platform(file)
    prompts = _prompts(options)
    telling = _telling(is_quiet=is_quiet)
    with open_cluster(context, told=telling.progress) as cluster:
        routes = cluster.serves("gateway.networking.k8s.io/v1", "HTTPRoute")
        scene = make_scene(platform, model, has_routes=routes)
        resolved = platform.models[model]
        plan, notes = _plan(resolved, prompts if scene.served else None, options)
        store = Store(cluster, scene.namespace, model)
        with hold(
            cluster, scene.namespace, store.name, what=f"a canary of {model}", told=telling.progress
        ) as held:
            who = f"{held.holder.user}@{held.holder.host}"
            state, scene = _state(cluster, store, scene=scene, plan=plan, who=who, options=options)
            for note in notes:
                telling.progress(note)
            telling.event(f"run {state.run} of {model}, measured on: {state.measured_on}")
            with (
                _probes(context, prompts if scene.served else None, options) as probes,
                _watch(options) as watched,
            ):
                runner = Runner(
                    cluster,
                    store,
                    scene,
                    state,
                    Traffic(cluster, scene, force=options.force, coarse=options.coarse),
                    held,
                    releases=(
                        resolved.release,
                        resolved.canary.release if resolved.canary else resolved.release,
                    ),
                    probes=probes,
                    prometheus=watched,
                    telling=telling,
                )
                return _run(runner, once=not options.watch)


def _run(runner: "Runner", *, once: bool) -> "CanaryState":
    try:
        return runner.run(once=once)
    except KeyboardInterrupt:
        err().print(
            "stopped; the traffic stays as it is, and the same command goes on from here", markup=False
        )
        return runner.state


def _state(
    cluster: "Cluster", store: "Store", *, scene: "Scene", plan: "CanaryPlan", who: str, options: Options
) -> "tuple[CanaryState, Scene]":
    """The run that is under way with its scene, or a new one."""
    from dataclasses import replace

    from stoker.canary.run import new_run_name
    from stoker.canary.state import CanaryState, Note
    from stoker.canary.traffic import Traffic

    now = cluster.clock.now()
    found = store.load()
    if found is not None and not found[0].phase.is_over:
        state, kept = found
        if state.plan != plan:
            raise UnsafeError(
                f"run {state.run} of {store.model} is under way with another plan",
                fix=f"start it with the options it was begun with, or `stoker canary abort {store.model}` first",
            )
        note = Note(now, who, f"taken up again by {who}")
        return replace(state, who=who, notes=(*state.notes, note)), kept
    Traffic(cluster, scene, force=options.force, coarse=options.coarse).check()
    if found is not None:
        store.archive(*found)
    lot = random.SystemRandom()
    state = CanaryState(
        model=store.model,
        namespace=store.namespace,
        run=new_run_name(lot, now),
        plan=plan,
        seed=lot.randrange(2**31),
        who=who,
        started=now,
        measured_on=cluster.measured_on,
        notes=(Note(now, who, f"begun by {who}"),),
    )
    return state, scene


def _plan(
    model: "ResolvedModel", prompts: "PromptSet | None", options: Options
) -> "tuple[CanaryPlan, tuple[str, ...]]":
    from stoker.canary.begin import criteria_of
    from stoker.canary.plan import CanaryPlan, OnDeadline

    criteria, notes = criteria_of(
        model, prompts=prompts, is_watched=options.prometheus is not None, margins=options.margins
    )
    plan = CanaryPlan(
        steps=options.steps,
        criteria=criteria,
        alpha=options.alpha,
        beta=options.beta,
        least_seconds=options.least,
        most_seconds=options.most,
        ready_seconds=options.ready,
        poll_seconds=options.every,
        pairs=options.pairs if prompts is not None else 0,
        on_deadline=OnDeadline(options.on_deadline),
        prompts=prompts.digest if prompts is not None else "",
    )
    return plan, notes


def _prompts(options: Options) -> "PromptSet | None":
    from stoker.canary.prompts import DEFAULT, read_prompts

    if not options.probes:
        return None
    return DEFAULT if options.prompts is None else read_prompts(options.prompts)


@contextmanager
def _probes(context: str | None, prompts: "PromptSet | None", options: Options) -> "Iterator[Probes | None]":
    import os

    import httpx2

    from stoker.canary.run import Probes
    from stoker.canary.scoring import Scorer
    from stoker.kube.connect import open_client, read_config

    if prompts is None:
        yield None
        return
    key = os.environ.get("STOKER_MODEL_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # The user's proxies are for the world outside, not for pods.
    with (
        httpx2.Client(headers=headers, trust_env=False) as direct,
        open_client(read_config(context, None)) as proxy,
        httpx2.Client() as helpers,
    ):
        yield Probes(prompts, direct, proxy, Scorer(prompts, helpers), options.reach)


@contextmanager
def _watch(options: Options) -> "Iterator[httpx2.Client | None]":
    from stoker.kube.prometheus import open_prometheus

    if options.prometheus is None:
        yield None
        return
    with open_prometheus(options.prometheus) as client:
        yield client


def _telling(*, is_quiet: bool) -> "Telling":
    from stoker.canary.run import Telling

    if is_quiet:
        return Telling()
    console = err()

    def say(style: str, text: str) -> None:
        console.print(text, style=style, markup=False)

    return Telling(
        progress=lambda text: say("dim", text),
        event=lambda text: say("bold", text),
        warn=lambda text: say("yellow", f"no data: {text}"),
    )


# --- the other commands -----------------------------------------------------------------------------------------------


def read_state(model: str, namespace: str, context: str | None) -> "CanaryState":
    """The state of a model's run.

    Raises:
        StokerError: there is none.
    """
    from stoker.canary.store import find
    from stoker.kube.cluster import open_cluster

    with open_cluster(context) as cluster:
        return _loaded(find(cluster, model, namespace))[0]


def _loaded(store: "Store") -> "tuple[CanaryState, Scene]":
    found = store.load()
    if found is None:
        raise StokerError(
            f"no canary of {store.model} was ever run in {store.namespace}",
            fix=f"stoker canary start {store.model} -f platform.yaml",
        )
    return found


def give_order(model: str, namespace: str, context: str | None, phase: "Phase") -> "CanaryState":
    """End a run: by whoever runs it, or here where nobody does.

    Raises:
        StokerError: there is nothing to end so.
        UnsafeError: whoever runs it did not take the order in time.
    """
    from stoker.canary.store import Order, find
    from stoker.kube.cluster import open_cluster
    from stoker.kube.lease import Holder

    telling = _telling(is_quiet=False)
    with open_cluster(context, told=telling.progress) as cluster:
        store = find(cluster, model, namespace)
        state, _ = _loaded(store)
        if _is_settled(state, phase):
            store.clear_order()  # of somebody who was killed having given it
            return state
        me = Holder.this_process()
        store.give_order(Order(phase, f"{me.user}@{me.host}", state.run))
        try:
            return _take_over(cluster, store, phase, telling)
        except UnsafeError as error:
            telling.progress(f"{error.message}: the order is left for it")
            return _wait(store, phase)


def _is_settled(state: "CanaryState", phase: "Phase") -> bool:
    """Whether the run has ended as is wanted; refuses where it ended otherwise for good."""
    from stoker.canary.plan import OnDeadline
    from stoker.canary.state import Phase

    is_held = state.phase is Phase.INCONCLUSIVE and state.plan.on_deadline is OnDeadline.HOLD
    if not state.phase.is_over or is_held:
        return False
    is_back = state.phase in {Phase.ABORTED, Phase.INCONCLUSIVE}
    if (phase is Phase.ABORTING) == is_back:
        return True
    raise UnsafeError(
        f"run {state.run} of {state.model} is over: {state.phase}",
        fix="apply a platform file with the version that you want" if not is_back else "start a new one",
    )


def _take_over(cluster: "Cluster", store: "Store", phase: "Phase", telling: "Telling") -> "CanaryState":
    from dataclasses import replace

    from stoker.canary.decide import order
    from stoker.canary.run import Runner
    from stoker.canary.traffic import Traffic
    from stoker.kube.lease import hold

    with hold(
        cluster, store.namespace, store.name, what=f"a canary of {store.model}", told=telling.progress
    ) as held:
        state, scene = _loaded(store)
        who = f"{held.holder.user}@{held.holder.host}"
        if _is_settled(state, phase):
            store.clear_order()
            return state
        if state.phase is not phase:
            # Kept before the order is cleared: whoever is killed between would have given none.
            state = store.save(order(replace(state, who=who), phase, who, cluster.clock.now()), scene)
            telling.event(state.notes[-1].what)
        # Whoever orders it means it: fields that others took meanwhile do not keep the traffic where it is.
        runner = Runner(
            cluster,
            store,
            scene,
            state,
            Traffic(cluster, scene, force=True, coarse=True),
            held,
            telling=telling,
        )
        return _run(runner, once=False)


def _wait(store: "Store", phase: "Phase") -> "CanaryState":
    end = time.monotonic() + _HAND_OVER_S
    while True:
        state, _ = _loaded(store)
        if state.phase.is_over:
            store.clear_order()  # it may have come after the run's last look
            return state
        if time.monotonic() > end:
            if state.phase is phase:
                return state  # it is being done there
            raise UnsafeError(
                f"{state.who} did not take the order within {_HAND_OVER_S:g} s",
                fix="end that process; then the same command takes over",
            )
        time.sleep(0.5)
