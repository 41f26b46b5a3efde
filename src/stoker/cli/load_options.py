"""What the options of `stoker load` say: a plan and a target."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from stoker.cli.choices import one_of
from stoker.cli.durations import seconds_of
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.load.plan import LoadPlan
    from stoker.load.rates import Phase
    from stoker.load.target import Target

__all__ = ["PlanOptions", "make_plan", "make_target", "phases_of"]

_APIS: Final = ("chat", "completions", "infer")
_PHASE: Final = re.compile(r"([0-9]*\.?[0-9]+)(?:\.\.([0-9]*\.?[0-9]+))?(?::(.+))?")
# Options of one kind of plan. Given with the other they would change nothing, and nobody would know.
_OF_A_RATE: Final = ("rate", "prompt_tokens", "output_tokens", "sigma", "cv")
_OF_A_TRACE: Final = ("scale", "pace")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the options of the command say about what is sent."""

    model: str | None
    rate: str | None
    lasting: str | None
    trace: Path | None
    scale: float
    pace: float
    prompt_tokens: int
    output_tokens: int
    sigma: float
    cv: float
    seed: int


def make_plan(context: typer.Context, options: PlanOptions) -> "LoadPlan":
    """The plan that the options ask for.

    Raises:
        InputError: neither a rate nor a trace, options of one with the other, or anything that cannot be read.
    """
    _refuse_mixed(context, options)
    if options.trace is not None:
        from stoker.cli.scenario import trace_of
        from stoker.load.schedule import trace_plan

        duration_s = seconds_of("--for", options.lasting)
        return trace_plan(
            trace_of(options.trace),
            model=options.model,
            duration_s=None if duration_s is None else duration_s * options.pace,
            scale=options.scale,
            pace=options.pace,
            seed=options.seed,
        )
    from stoker.load.schedule import poisson_plan

    if options.model is None:
        raise InputError([Problem("no model", path="--model", wanted="the model as the server names it")])
    return poisson_plan(
        phases_of(options.rate or "", options.lasting),
        model=options.model,
        prompt_tokens=options.prompt_tokens,
        output_tokens=options.output_tokens,
        sigma=options.sigma,
        cv=options.cv,
        seed=options.seed,
    )


def phases_of(rate: str, lasting: str | None) -> "list[Phase]":
    """Read a rate: ``5``, a ramp ``1..10``, or phases with their durations ``2:1m,2..20:5m,2:1m``.

    Raises:
        InputError: none of these, or a duration that is missing or said twice.
    """
    from stoker.load.rates import Phase

    found, problems = [], []
    parts = [part.strip() for part in rate.split(",")]
    for part in parts:
        match = _PHASE.fullmatch(part)
        if match is None:
            wanted = "requests a second as 5, a ramp as 1..10, or phases as 2:1m,2..20:5m"
            problems.append(Problem("no rate", path="--rate", found=part or "nothing", wanted=wanted))
            continue
        own = match.group(3)
        if own is not None and lasting is not None:
            problems.append(
                Problem(
                    "is said twice", path="--for", found=f"{part} and --for {lasting}", fix="leave --for out"
                )
            )
        elif own is None and len(parts) > 1:
            problems.append(Problem("a phase without duration", path="--rate", found=part, fix=f"{part}:1m"))
        elif own is None and lasting is None:
            problems.append(Problem("no duration", path="--for", wanted="how long to send", fix="--for 2m"))
        else:
            seconds = seconds_of("--for" if own is None else "--rate", own or lasting)
            end = match.group(2)
            found.append(Phase(seconds or 0.0, float(match.group(1)), None if end is None else float(end)))
    if problems:
        raise InputError(problems)
    return found


def make_target(
    url: str,
    *,
    api: str,
    stream: bool,
    host: str,
    key_env: str,
    headers: list[str],
    answered_by: str,
    natural_length: bool,
    keep_alive: bool,
    ca: Path | None,
) -> "Target":
    """The server that the options name.

    Raises:
        InputError: an unknown protocol, or a header without a colon.
    """
    from stoker.load.target import Api, Target

    one_of("--api", api, _APIS)
    pairs = []
    for given in headers:
        name, colon, value = given.partition(":")
        if not colon:
            raise InputError([Problem("no header", path="--header", found=name[:40], wanted='"NAME: VALUE"')])
        pairs.append((name.strip(), value.strip()))
    return Target(
        url,
        Api(api),
        streams=stream,
        host=host,
        key_env=key_env,
        headers=tuple(pairs),
        answered_by=answered_by,
        exact=not natural_length,
        keep_alive=keep_alive,
        ca=ca,
    )


def _refuse_mixed(context: typer.Context, options: PlanOptions) -> None:
    """Refuse options that the chosen kind of plan does not look at.

    Raises:
        InputError: naming each of them.
    """
    if options.rate is None and options.trace is None:
        raise InputError(
            [
                Problem(
                    "nothing to send", path="--rate, --trace", wanted="one of them", fix="--rate 5 --for 2m"
                )
            ]
        )
    names, why = (
        (_OF_A_TRACE, "goes with --trace") if options.trace is None else (_OF_A_RATE, "the trace says it")
    )
    problems = [
        Problem(why, path=f"--{name.replace('_', '-')}", fix="leave it out")
        for name in names
        if _given(context, name)
    ]
    if problems:
        raise InputError(problems)


def _given(context: Any, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
