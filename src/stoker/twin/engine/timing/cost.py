"""Seconds of one engine step, in the form that the event kernel integrates in closed form."""

from dataclasses import dataclass

__all__ = ["StepCost"]


@dataclass(frozen=True, slots=True)
class StepCost:
    """Seconds of one engine step of one replica (model x GPU x precision x layout x engine release).

    A step of n scheduled tokens (decoding sequences + prompt tokens) takes ``table(n) + kv_read_s * context of the
    decoding sequences + decode_seq_s * decoding sequences + prefill_pair_s * sum of chunk * (computed before + chunk / 2)
    + prefill_chunk_s * chunks``.

    Attributes:
        knot_tokens: token counts, ascending, first 1.
        knot_seconds: seconds at the knots, linear between them, the last slope beyond.
        mixed_seconds: the same for steps with prompt tokens, where they do not run as CUDA graphs; None for alike.
        kv_read_s: per cached token that decoding sequences attend to.
        decode_seq_s: per decoding sequence.
        prefill_pair_s: per (query token, key token) pair of prompt chunks.
        prefill_chunk_s: per prompt chunk of the step.
        arrival_s, arrival_token_s: outside the steps, per request and per prompt token: HTTP, tokeniser. Adds to TTFT.
        provenance: ``measured``, ``interpolated`` or ``extrapolated``.
    """

    knot_tokens: tuple[int, ...]
    knot_seconds: tuple[float, ...]
    mixed_seconds: tuple[float, ...] | None
    kv_read_s: float
    decode_seq_s: float
    prefill_pair_s: float
    prefill_chunk_s: float
    arrival_s: float
    arrival_token_s: float
    provenance: str
