"""`stoker simulate --engine-only`: one engine under a load generator."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stoker.cli.choices import KV_CACHE_DTYPES, QUANTIZATIONS, architecture_of, one_of
from stoker.cli.output import Output, out, print_json, table
from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.twin.engine import EngineRun, EngineSpec

__all__ = ["EngineQuestion", "answer"]

_PER_CLIENT = 10
_OPEN_LOOP = 2000


@dataclass(frozen=True, slots=True)
class EngineQuestion:
    """What the options of the command say."""

    model: str | None
    gpu: str | None
    tensor: int
    pipeline: int
    data: int
    expert_parallel: bool
    quantization: str
    kv_cache_dtype: str
    version: str | None
    concurrency: int | None
    rate: float | None
    input_tokens: int
    output_tokens: int
    length_range: float
    requests: int | None
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    max_model_len: int | None
    gpu_memory_utilization: float | None
    seed: int


def answer(question: EngineQuestion, output: Output) -> None:
    """Run the engine and print what its clients measured.

    Raises:
        InputError: no model or GPU named, or neither or both of concurrency and rate.
    """
    if question.model is None or question.gpu is None:
        raise InputError(
            [
                Problem(
                    "an engine needs a model and a GPU",
                    path="--gpu" if question.model else "--model" if question.gpu else "--model, --gpu",
                    wanted="--model and --gpu",
                    fix="--model llama-3-8b --gpu H100",
                )
            ]
        )
    if (question.concurrency is None) == (question.rate is None):
        raise InputError(
            [
                Problem(
                    "an engine needs one kind of load",
                    path="--concurrency, --rate",
                    found="neither" if question.rate is None else "both",
                    wanted="--concurrency (clients of a closed loop) or --rate (requests a second)",
                    fix="--concurrency 32",
                )
            ]
        )
    one_of("--quantization", question.quantization, QUANTIZATIONS)
    one_of("--kv-cache-dtype", question.kv_cache_dtype, KV_CACHE_DTYPES)
    _check_version(question.version)
    spec = _spec(question, question.model, question.gpu)
    run = _run(question, spec)
    document = _document(question, spec, run)
    if output is Output.JSON:
        print_json(document)
    else:
        _print(document)


def _check_version(version: str | None) -> None:
    from stoker.catalog.versions import version_key

    try:
        version_key(version or "0.0")
    except ValueError as error:
        raise InputError(
            [
                Problem(
                    "is no release",
                    path="--engine-version",
                    found=version or "nothing",
                    wanted="a vLLM release, as 0.19.0",
                    fix="leave it out for the pinned one",
                )
            ]
        ) from error


def _spec(question: EngineQuestion, model: str, gpu: str) -> "EngineSpec":
    from stoker.catalog.gpus import gpu as find_gpu
    from stoker.twin.engine.setup import engine_spec

    return engine_spec(
        architecture_of(model),
        find_gpu(gpu),
        tensor=question.tensor,
        pipeline=question.pipeline,
        data=question.data,
        expert_parallel=question.expert_parallel,
        quantization=question.quantization,
        kv_dtype=question.kv_cache_dtype,
        version=question.version,
        max_num_seqs=question.max_num_seqs,
        max_num_batched_tokens=question.max_num_batched_tokens,
        max_model_len=question.max_model_len,
        gpu_memory_utilization=question.gpu_memory_utilization,
    )


def _run(question: EngineQuestion, spec: "EngineSpec") -> "EngineRun":
    import numpy as np

    from stoker.twin.engine import closed_loop, open_loop

    rng = np.random.default_rng(question.seed)
    count = question.requests or (
        max(40, _PER_CLIENT * question.concurrency) if question.concurrency else _OPEN_LOOP
    )
    prompt, reply = (
        rng.integers(max(1, int(length * question.length_range)), length + 1, count).astype(np.int32)
        for length in (question.input_tokens, question.output_tokens)
    )
    if question.concurrency is not None:
        return closed_loop(
            spec, concurrency=question.concurrency, requests=count, input_tokens=prompt, output_tokens=reply
        )
    return open_loop(
        spec, rate=question.rate or 1.0, requests=count, input_tokens=prompt, output_tokens=reply, rng=rng
    )


def _document(question: EngineQuestion, spec: "EngineSpec", run: "EngineRun") -> dict[str, Any]:
    from importlib.metadata import version

    import numpy as np

    from stoker.report.simulation.document import rounded

    document: dict[str, Any] = {
        "requests": run.completed + run.refused,
        "completed": run.completed,
        "refused": run.refused,
    }
    for name, values in (("ttft", run.ttft_s), ("tpot", run.tpot_s), ("e2e", run.e2e_s)):
        known = values[~np.isnan(values)]
        for share in (50, 95, 99):
            document[f"{name}_p{share}_s"] = (
                rounded(float(np.quantile(known, share / 100))) if len(known) else None
            )
        document[f"{name}_mean_s"] = rounded(float(known.mean())) if len(known) else None
    seconds = run.duration_s or 1.0
    return document | {
        "requests_per_s": rounded(run.completed / seconds),
        "input_tokens_per_s": rounded(float(run.input_tokens.sum()) / seconds),
        "output_tokens_per_s": rounded(float(run.output_tokens.sum()) / seconds),
        "gpu_utilization": rounded(min(1.0, run.busy_s / seconds)),
        "preemptions": run.preemptions,
        "kv_usage_peak": rounded(run.kv_peak),
        "duration_s": rounded(run.duration_s),
        "engine": {
            "gpus": spec.gpus,
            "max_num_seqs": spec.max_num_seqs,
            "max_num_batched_tokens": spec.max_num_batched_tokens,
            "max_model_len": spec.max_model_len,
            "kv_tokens": spec.blocks * spec.block_tokens,
        },
        "provenance": {
            "measured_on": "twin",
            "load": f"closed loop of {question.concurrency}"
            if question.concurrency
            else f"Poisson, {question.rate:g} requests/s",
            "lengths": f"uniform, {question.length_range:g} to 1 of the given",
            "seed": question.seed,
            "version": version("stoker"),
            "calibration": spec.cost.provenance,
        },
    }


def _print(document: dict[str, Any]) -> None:
    from stoker.report.simulation.text import seconds

    table(
        ["", "mean", "P50", "P95", "P99"],
        [
            [
                name.upper(),
                *(
                    "-" if document[f"{name}_{part}_s"] is None else seconds(document[f"{name}_{part}_s"])
                    for part in ("mean", "p50", "p95", "p99")
                ),
            ]
            for name in ("ttft", "tpot", "e2e")
        ],
    )
    engine, source = document["engine"], document["provenance"]
    console = out()
    console.print(
        f"{document['completed']} of {document['requests']} requests answered in {seconds(document['duration_s'])}: "
        f"{document['requests_per_s']:.3g} requests/s, {document['output_tokens_per_s']:,.0f} answer tokens/s, "
        f"engine busy {document['gpu_utilization']:.0%}"
    )
    console.print(
        f"KV cache {engine['kv_tokens']:,} tokens, peak {document['kv_usage_peak']:.0%}; "
        f"preemptions {document['preemptions']}; max-num-seqs {engine['max_num_seqs']}, "
        f"max-num-batched-tokens {engine['max_num_batched_tokens']}"
    )
    console.print(
        f"measured on the twin: {source['load']}, seed {source['seed']}, step times {source['calibration']}"
    )
