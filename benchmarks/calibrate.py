"""Fit the step times of the twin on measurements of real engines, and write them to its data file.

    python -m benchmarks.calibrate --calibration DIR              # fit without the held-out configurations, and write
    python -m benchmarks.calibrate --calibration DIR --check      # errors of the committed figures
    python -m benchmarks.calibrate --calibration DIR --cross-validate  # leave out folds, models, GPUs, tensor parallelism

DIR holds aiconfigurator's silicon sample, the logs of LLMServingSim, inference-perf's sweep and Argonne's batches
(docs/calibration.md says where they come from). The same data give the same file.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from benchmarks.calibration_fit import Fit, Observation, solve
from benchmarks.calibration_logs import Log, read_logs
from benchmarks.calibration_rows import Row, engine_arguments, errors, predict, read_rows, summary
from stoker.catalog.gpus import Gpu, gpu
from stoker.catalog.models import ModelArchitecture, model
from stoker.twin.engine.timing.figures import Figures, family_of, release_of, weights_of
from stoker.twin.engine.timing.roofline import step_cost

_DATA = Path(__file__).parents[1] / "src/stoker/twin/engine/data/calibration.yaml"
_HEADER = """\
# Efficiencies and host times of engine steps, fitted by benchmarks/calibrate.py on measurements of real engines:
#   ai-dynamo/aiconfigurator, silicon_sample.csv (Apache-2.0): closed loops, vLLM 0.11 to 0.19 on H100, H200, B200, B300;
#     four of five configurations, by a hash of their names
#   kubernetes-sigs/inference-perf demos (Apache-2.0): an open-loop sweep, vLLM 0.11 on H100
#   casys-kaist/LLMServingSim (MIT): request logs of vLLM 0.19 on RTX PRO 6000 and RTX 4090
#   Argonne LLM-Inference-Bench (BSD-3): vLLM of 2024 on A100 and H100, offline batches
# `general` are figures of Hopper under vLLM from 0.14; entries below it are factors on them, one after the other.
# docs/calibration.md says how well they hold on what was left out.
"""


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calibration", type=Path, required=True, metavar="DIR")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cross-validate", action="store_true")
    arguments = parser.parse_args()
    rows, logs = read_rows(arguments.calibration), read_logs(arguments.calibration)
    if arguments.cross_validate:
        _cross_validate(rows, logs)
        return
    if not arguments.check:
        kept = [row for row in rows if not row.held_out]
        _write(solve(_observations(kept, logs)), kept, logs)
    for label, chosen in (
        ("fitted", [row for row in rows if not row.held_out]),
        ("held out", [row for row in rows if row.held_out]),
    ):
        _report(label, chosen, [predict(row) for row in chosen])


def _keys(architecture: ModelArchitecture, kind: Gpu, quantization: str, version: str) -> Mapping[str, str]:
    family, weights = family_of(kind), weights_of(quantization)
    keys = {
        "families": "" if family == "hopper" else family,
        "gpus": kind.name,
        "formats": f"{family}/{weights}",
        "models": architecture.name,
        "pairs": f"{architecture.name}/{kind.name}/{weights}",
        "releases": release_of(version),
    }
    return {level: key for level, key in keys.items() if key}


def _observe_row(row: Row) -> Observation:
    architecture, kind = model(row.model), gpu(row.gpu)
    cost = partial(step_cost, architecture, kind, **engine_arguments(row))
    return Observation(
        keys=_keys(architecture, kind, row.quantization, row.version),
        measured=np.array([row.tpot_s, row.ttft_s]),
        tolerance=np.array([0.04, 0.12]),
        predict=lambda figures: predict(row, cost(figures=figures)),
        experts=architecture.moe is not None,
        ranks=row.tensor * row.data,
        data=row.data,
        expert_parallel=row.expert_parallel,
    )


def _observe_log(log: Log) -> Observation:
    architecture, kind = model(log.model), gpu(log.gpu)

    def figures_of(figures: Figures) -> Sequence[float]:
        cost = step_cost(architecture, kind, tensor=log.tensor, quantization="none", figures=figures)
        return log.predict(cost)

    return Observation(
        keys=_keys(architecture, kind, "none", log.version),
        measured=np.array(log.measured),
        tolerance=np.array(log.tolerance),
        predict=figures_of,
        experts=False,
        ranks=log.tensor,
        data=1,
        expert_parallel=False,
    )


def _observations(rows: Sequence[Row], logs: Sequence[Log]) -> list[Observation]:
    return [*(_observe_row(row) for row in rows), *(_observe_log(log) for log in logs)]


def _write(fit: Fit, rows: Sequence[Row], logs: Sequence[Log]) -> None:
    pairs = {observation.keys["pairs"] for observation in _observations(rows, logs)}
    document = {"measured": sorted(pairs), **fit.document()}
    _DATA.write_text(_HEADER + yaml.safe_dump(document, sort_keys=False, width=120), encoding="utf-8")


def _report(label: str, rows: Sequence[Row], predicted: Sequence[tuple[float, float]]) -> None:
    (tpot, ttft, e2e), count = summary(errors(rows, predicted)), len({row.configuration for row in rows})
    print(
        f"{label:34s} {len(rows):4d} rows {count:3d} configurations  "
        f"TPOT {tpot[0]:.1%} / {tpot[1]:.1%}  TTFT {ttft[0]:.1%} / {ttft[1]:.1%}  E2E {e2e[0]:.1%} / {e2e[1]:.1%}"
    )


def _cross_validate(rows: Sequence[Row], logs: Sequence[Log]) -> None:
    """Fit without each fold, model, GPU and degree of tensor parallelism, and report on what was left out."""
    kinds: dict[str, Callable[[Row], object]] = {
        "fold": lambda row: row.fold,
        "model": lambda row: row.model,
        "GPU": lambda row: row.gpu,
        "tensor": lambda row: row.tensor,
    }
    for kind, value_of in kinds.items():
        values = sorted({value_of(row) for row in rows}, key=str)
        groups = [[value_of(row) == value for row in rows] for value in values]
        with ProcessPoolExecutor() as pool:
            found = list(pool.map(partial(_left_out, rows, logs), groups))
        every: list[tuple[Row, tuple[float, float]]] = []
        for value, group, predicted in zip(values, groups, found, strict=True):
            out = [row for row, chosen in zip(rows, group, strict=True) if chosen]
            _report(f"without {kind} {value}", out, predicted)
            every += zip(out, predicted, strict=True)
        _report(f"all, by {kind}", [row for row, _ in every], [figures for _, figures in every])


def _left_out(rows: Sequence[Row], logs: Sequence[Log], group: Sequence[bool]) -> list[tuple[float, float]]:
    kept = [row for row, chosen in zip(rows, group, strict=True) if not chosen]
    out = [row for row, chosen in zip(rows, group, strict=True) if chosen]
    fit = solve(_observations(kept, logs), steps=8)
    found = []
    for row in out:
        cost = partial(step_cost, model(row.model), gpu(row.gpu), **engine_arguments(row))
        found.append(predict(row, cost(figures=fit.figures(_observe_row(row)))))
    return found


if __name__ == "__main__":
    main()
