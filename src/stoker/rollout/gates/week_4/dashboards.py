"""Does every query of every dashboard return data, with its variables filled as Grafana fills them?"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from stoker.errors import StokerError
from stoker.kube.refs import ref_of
from stoker.rollout.endpoints import find_model
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.monitoring import Prometheus, prometheus, services
from stoker.rollout.pods import ready_pods
from stoker.rollout.traffic import planned, target_of, traffic
from stoker.upgrades.observability.dashboards import boards, compile_dashboards

__all__ = ["DASHBOARDS_ANSWER", "Answer", "filled", "judge_dashboards", "variable_query"]

# Grafana's own function, no PromQL: label_values(SELECTOR, LABEL).
_LABEL_VALUES: Final = re.compile(r"^label_values\((?P<series>.+),\s*(?P<label>[A-Za-z_]\w*)\)$", re.DOTALL)
_PROMPT, _OUTPUT = 300, 60  # tokens of a request that gives a dashboard something to draw


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query of a panel, or of a variable, returned.

    Attributes:
        series: how many elements; 0 is no data.
        excuse: why it may have none; empty where it may not.
        error: what Prometheus said instead.
    """

    board: str
    panel: str
    query: str
    series: int
    excuse: str = ""
    error: str = ""

    @property
    def is_fine(self) -> bool:
        return not self.error and (self.series > 0 or bool(self.excuse))


def judge_dashboards(answers: Sequence[Answer], absent: Sequence[str] = ()) -> Judgement:
    """Whether every query has data, or is one that may have none; ``absent``: dashboards that are not in the cluster."""
    bad = [one for one in answers if not one.is_fine]
    excused = {f"{one.board}: {one.panel}": one.excuse for one in answers if one.excuse and not one.series}
    figures: dict[str, Any] = {
        "queries": len(answers),
        "with_data": sum(one.series > 0 for one in answers),
        "empty_by_nature": excused,
        "without_data": [
            {"dashboard": one.board, "panel": one.panel, "query": one.query, "error": one.error}
            for one in bad
        ],
        "not_in_the_cluster": list(absent),
    }
    if not answers:
        return Judgement.inconclusive("no dashboard has a query", **figures)
    if absent:
        return Judgement.failed(f"not in the cluster: {', '.join(absent)}", **figures)
    if bad:
        first = f"{bad[0].board}: {bad[0].panel}: {bad[0].error or 'no data'}"
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        return Judgement.failed(
            f"{len(bad)} of {len(answers)} queries have no data: {first}{more}", **figures
        )
    reason = f"{figures['with_data']} of {len(answers)} queries have data"
    return Judgement.passed(reason + (f", {len(excused)} may have none" if excused else ""), **figures)


def variable_query(text: str) -> tuple[str, str]:
    """A variable's query as PromQL, and the label that its values stand in.

    Raises:
        StokerError: it is no ``label_values(SELECTOR, LABEL)``.
    """
    found = _LABEL_VALUES.match(text.strip())
    if found is None:
        raise StokerError(f"no query of a variable: {text}", fix="label_values(SELECTOR, LABEL)")
    return f"group by ({found['label']}) ({found['series']})", found["label"]


def filled(query: str, values: Mapping[str, Sequence[str]]) -> str:
    """A query with its variables in place, as Grafana does with all values chosen: ``(a|b)``, escaped twice."""
    for name, chosen in values.items():
        text = "|".join(re.escape(one).replace("\\", "\\\\") for one in chosen)
        # Split, not replaced: values may hold what a replacement would read.
        query = f"({text})".join(re.split(rf"\$\{{?{re.escape(name)}\b\}}?", query))
    return query


def _measure(context: Context) -> Judgement:
    shown = boards(context.platform)
    compiled = compile_dashboards(context.platform)
    if not compiled:
        raise CannotMeasureError(
            "the platform has no dashboards", fix="observability.grafana.enabled, or leave this gate out"
        )
    absent = [str(ref_of(one.object)) for one in compiled if context.cluster.get(ref_of(one.object)) is None]
    last: list[Judgement] = []
    with prometheus(context) as source, ExitStack() as load:
        _begin_traffic(context, load)

        def look() -> Judgement | None:
            answers = [one for name, board in shown.items() for one in _answers(source, name, board)]
            last[:] = [judge_dashboards(answers, absent)]
            return last[0] if last[0].verdict.value == "passed" else None

        context.until(look, within=float(context.settings["within_seconds"]), every=15.0)
    context.note("queries asked", **last[0].measured)
    return last[0]


def _answers(source: Prometheus, name: str, board: Any) -> Iterator[Answer]:
    values: dict[str, list[str]] = {}
    for variable, text in board.variables.items():
        query, label = variable_query(filled(text, values))
        try:
            found = sorted({labels.get(label, "") for labels, _ in source.instant(query)} - {""})
        except StokerError as error:
            yield Answer(name, f"variable {variable}", query, 0, error=error.message)
            return
        values[variable] = found
        yield Answer(name, f"variable {variable}", query, len(found))
    for panel in board.panels:
        for expression in panel.queries.values():
            query = filled(expression, values)
            try:
                yield Answer(name, panel.title, query, len(source.instant(query)), panel.empty)
            except StokerError as error:
                yield Answer(name, panel.title, query, 0, panel.empty, error.message)


def _begin_traffic(context: Context, load: ExitStack) -> None:
    """A few requests to every model that is awake: rates and percentiles need something to be of."""
    settings = context.settings
    for model in context.platform.models.values():
        if not model.release.metrics or not ready_pods(context.cluster, model):
            continue
        try:
            endpoint = find_model(context.cluster, context.platform, model, services(context))
            target = target_of(model, endpoint)
        except CannotMeasureError as error:
            context.note(f"no requests are sent to {model.name}", why=error.message)
            continue
        plan = planned(
            model.name,
            burst=1,
            rate=float(settings["rate"]),
            seconds=float(settings["within_seconds"]) + 60.0,
            prompt_tokens=_PROMPT,
            output_tokens=_OUTPUT,
        )
        load.enter_context(traffic(context, target, plan))


DASHBOARDS_ANSWER: Final = Gate(
    "week-4/dashboards-answer",
    "Every query of every dashboard returns data",
    "data for every query within {within_seconds} s, variables filled; queries that may be empty are told apart",
    "sends {rate} small requests a second to every model that is awake, and reads Prometheus",
    _measure,
    {"within_seconds": 300, "rate": 0.5},
)
