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
from typing import Any

import numpy as np
import yaml
from benchmarks.calibration_fit import Observation, solve
from benchmarks.calibration_kernels import kernel_shares
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
#   L40S: aiconfigurator's kernel tables (Apache-2.0), relative to H100's
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
    if arguments.cross_validate:
        _cross_validate(arguments.calibration)
        return
    rows, logs = read_rows(arguments.calibration), read_logs(arguments.calibration)
    if not arguments.check:
        kept = [row for row in rows if not row.held_out]
        fit = solve(_observations(kept, logs))
        pairs = {observation.keys["pairs"] for observation in _observations(kept, logs)}
        document = {"measured": sorted(pairs), **fit.document()}
        _add_kernels(document, arguments.calibration)
        _DATA.write_text(_HEADER + yaml.safe_dump(document, sort_keys=False, width=120), encoding="utf-8")
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


def _add_kernels(document: Mapping[str, Any], folder: Path) -> None:
    """L40S, of which no engine was measured: H100's figures times the ratio of what kernels alone reach on the two."""
    whole, known = gpu("H100"), gpu("L40S")
    theirs, ours = kernel_shares(folder, "h100_sxm", whole), kernel_shares(folder, "l40s", known)
    factors = {name: ours[name] / theirs[name] for name in ours}
    for sign, kind in ((1, whole), (-1, known)):
        family = family_of(kind)
        for level, key in (("families", family), ("gpus", kind.name), ("formats", f"{family}/16-bit")):
            for name, factor in document[level].get(key, {}).items():
                if name in factors:
                    factors[name] *= factor**sign
    document["gpus"][known.name] = {name: float(f"{factor:.4g}") for name, factor in factors.items()}


def _report(label: str, rows: Sequence[Row], predicted: Sequence[tuple[float, float]]) -> None:
    (tpot, ttft, e2e), count = summary(errors(rows, predicted)), len({row.configuration for row in rows})
    print(
        f"{label:34s} {len(rows):4d} rows {count:3d} configurations  "
        f"TPOT {tpot[0]:.1%} / {tpot[1]:.1%}  TTFT {ttft[0]:.1%} / {ttft[1]:.1%}  E2E {e2e[0]:.1%} / {e2e[1]:.1%}",
        flush=True,
    )


_KINDS: Mapping[str, Callable[[Row], object]] = {
    "fold": lambda row: row.fold,
    "model": lambda row: row.model,
    "GPU": lambda row: row.gpu,
    "tensor": lambda row: row.tensor,
}


def _cross_validate(folder: Path) -> None:
    """Fit without each fold, model, GPU and degree of tensor parallelism, and report on what was left out."""
    rows = read_rows(folder)
    with ProcessPoolExecutor() as pool:
        for kind, value_of in _KINDS.items():
            values = sorted({value_of(row) for row in rows}, key=str)
            found = pool.map(partial(_left_out, folder, kind), values)
            every: list[tuple[Row, tuple[float, float]]] = []
            for value, predicted in zip(values, found, strict=True):
                out = [row for row in rows if value_of(row) == value]
                _report(f"without {kind} {value}", out, predicted)
                every += zip(out, predicted, strict=True)
            _report(f"all, by {kind}", [row for row, _ in every], [figures for _, figures in every])


def _left_out(folder: Path, kind: str, value: object) -> list[tuple[float, float]]:
    """TPOT and TTFT of the rows whose ``kind`` is ``value``, fitted on all others."""
    rows, value_of = read_rows(folder), _KINDS[kind]
    kept = [row for row in rows if value_of(row) != value]
    fit = solve(_observations(kept, read_logs(folder)))
    found = []
    for row in rows:
        if value_of(row) == value:
            figures = fit.figures(_observe_row(row))
            cost = step_cost(model(row.model), gpu(row.gpu), figures=figures, **engine_arguments(row))
            found.append(predict(row, cost))
    return found


if __name__ == "__main__":
    main()
