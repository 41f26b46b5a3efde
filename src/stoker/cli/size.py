"""`stoker size`: what a model needs, which layouts fit a GPU type, and why the others do not."""

from typing import TYPE_CHECKING, Annotated

import typer

from stoker.cli.choices import KV_CACHE_DTYPES, QUANTIZATIONS, architecture_of, one_of
from stoker.cli.output import Output, OutputOption, err, out, print_json, table
from stoker.errors import ExitCode

if TYPE_CHECKING:
    from stoker.sizing.report import SizeReport

__all__ = ["size"]

_PRECISIONS = ("auto", "bf16", "fp16", "fp32")


def size(
    model: Annotated[
        str,
        typer.Argument(
            help="Catalogue id, Hugging Face repository, or a folder with config.json.", show_default=False
        ),
    ],
    *,
    gpu: Annotated[list[str], typer.Option("--gpu", help="GPU type; may be repeated to compare.")],
    gpus_per_node: Annotated[int | None, typer.Option(min=1, max=16, help="GPUs of one node.")] = None,
    precision: Annotated[str, typer.Option(help="|".join(_PRECISIONS))] = "auto",
    quantization: Annotated[str, typer.Option(help="|".join(QUANTIZATIONS))] = "auto",
    kv_cache_dtype: Annotated[str, typer.Option(help="auto|fp8")] = "auto",
    context_length: Annotated[
        int | None,
        typer.Option(
            min=16, max=10_000_000, help="Tokens of prompt and answer.", show_default="8192 or the model's"
        ),
    ] = None,
    gpu_memory_utilization: Annotated[
        float, typer.Option(min=0.1, max=0.98, help="Share of memory the engine takes.")
    ] = 0.92,
    usd_per_gpu_hour: Annotated[
        float | None, typer.Option(min=0.0, help="Price in place of the list price.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Size a model: weights, KV cache, every layout with its reason, host memory, load time, speed range, money.

    Exits with 1 where no layout fits any of the GPU types, and says what would.

    Examples:

        stoker size llama-3-70b --gpu A100-SXM-80GB

        stoker size qwen3-32b --gpu L40S --gpu H100 --context-length 32768

        stoker size ./my-model --gpu H200 --quantization fp8 --output json
    """
    from stoker.catalog.gpus import gpu as find
    from stoker.sizing.report import size_model

    one_of("--precision", precision, _PRECISIONS)
    one_of("--quantization", quantization, QUANTIZATIONS)
    one_of("--kv-cache-dtype", kv_cache_dtype, KV_CACHE_DTYPES)
    architecture = architecture_of(model)
    reports = [
        size_model(
            architecture,
            find(name),
            gpus_per_node=gpus_per_node,
            precision=precision,
            quantization=quantization,
            kv_dtype=kv_cache_dtype,
            context_length=context_length or min(8192, architecture.max_context),
            gpu_memory_utilization=gpu_memory_utilization,
            usd_per_gpu_hour=usd_per_gpu_hour,
        )
        for name in gpu
    ]
    if output is Output.JSON:
        print_json(reports[0].to_dict() if len(reports) == 1 else [report.to_dict() for report in reports])
    elif any(report.recommended for report in reports):
        for report in reports:
            _print(report)
    if not any(report.recommended for report in reports):
        _refuse(reports)
        raise typer.Exit(int(ExitCode.FINDINGS))


def _print(report: "SizeReport") -> None:
    from stoker.sizing.kv import kv_bytes_per_token

    summary, architecture = report.to_dict(), report.architecture
    console = out()
    console.print(f"{architecture.name} on {report.gpu.name}", style="bold", markup=False)
    width = report.width.dtype if report.width.quantization == "none" else report.width.quantization
    per_token = kv_bytes_per_token(architecture, report.kv_bytes) / 1024
    console.print(
        f"{architecture.parameters / 1e9:.2f} B parameters, {report.weights_gib:.1f} GiB of weights in {width}, "
        f"{per_token:.0f} KiB of KV cache per token, {report.context_length} tokens of context",
        markup=False,
    )
    chosen = report.recommended
    table(
        ("", "layout", "GPUs", "weights/GPU", "KV tokens", "sequences", "fits, or why not"),
        [
            (
                "→" if item is chosen else "",
                f"TP{item.tensor_parallel} PP{item.pipeline_parallel}",
                item.gpus,
                f"{item.weights_gib_per_gpu:.1f} GiB",
                item.kv_tokens,
                item.max_sequences,
                item.reason or "fits",
            )
            for item in report.layouts
        ],
    )
    for line in _verdict(summary):
        console.print(line, markup=False)
    console.print()


def _verdict(summary: dict[str, object]) -> list[str]:
    chosen, speed = summary["recommended"], summary["throughput"]
    if not isinstance(chosen, dict) or not isinstance(speed, dict):
        return ["No layout fits this GPU type."]
    layout = f"TP{chosen['tensor_parallel']} PP{chosen['pipeline_parallel']}, {chosen['gpus']} GPUs a replica"
    host = f"{summary['cpu']:g} CPU, {summary['host_memory_gib']:g} GiB of memory, {summary['shm_gib']:g} GiB of /dev/shm"
    lines = [f"Recommended: {layout}; host: {host}."]
    prefill = speed["prefill_tokens_per_s"]
    line = f"Estimated speed: prefill {prefill[0]} to {prefill[1]} tokens/s"
    if "decode_tokens_per_s" in speed:
        decode, one = speed["decode_tokens_per_s"], speed["tpot_ms_at_batch_1"]
        line += f"; decode {decode[0]} to {decode[1]} tokens/s at a batch of {speed['batch']}, {one[0]} to {one[1]} ms a token alone"
    lines.append(line + ".")
    loads = summary["load_seconds"]
    if isinstance(loads, dict):
        lines.append(
            "Estimated load: " + ", ".join(f"{kind} {seconds} s" for kind, seconds in loads.items()) + "."
        )
    if summary["usd_per_month"] is not None:
        lines.append(f"${summary['usd_per_month']:,.0f} a month for one replica; {summary['price_source']}.")
    notes = summary["notes"]
    lines += [f"Note: {note}." for note in notes] if isinstance(notes, list) else []
    return [*lines, f"Basis: {summary['basis']}."]


def _refuse(reports: "list[SizeReport]") -> None:
    from stoker.sizing.alternatives import alternatives

    console = err()
    for report in reports:
        console.print(f"{report.architecture.name} does not fit {report.gpu.name}:", markup=False)
        for item in report.layouts:
            console.print(
                f"  TP{item.tensor_parallel} PP{item.pipeline_parallel}: {item.reason}", markup=False
            )
        working = alternatives(report.architecture, report.gpu, context_length=report.context_length)
        console.print("What would fit: " + ("; ".join(working) or "nothing in the catalogue"), markup=False)
