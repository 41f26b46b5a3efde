"""Speed as a range: a roofline of bandwidth and arithmetic with the efficiencies that engines were seen to reach.

These are estimates for choosing a layout and a target; only a load test says what a deployment does. The range spans the
slower and the faster of the measured engines in the project's calibration data: offline vLLM of 2024 on A100 reaches
about half of the memory bandwidth at batch 1 (Llama-3-8B, 14.4 ms a token against 7.9 ms), newer releases on H100 and
H200 up to 85 %.
"""

from dataclasses import dataclass
from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import Attention, ModelArchitecture
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.weights import Width

__all__ = ["Range", "Speed"]

_BANDWIDTH: Final = (0.5, 0.85)  # share of the datasheet's bandwidth
_ARITHMETIC: Final = (0.3, 0.65)  # share of the dense tensor FLOPS
_STEP_SECONDS: Final = (0.004, 0.001)  # scheduling, sampling, kernel launches of one step
# One all-reduce of a decode step: latency-bound, twice a layer (attention and MLP).
_ALL_REDUCE_SECONDS: Final = {
    "nvlink-switch": 12e-6,
    "nvlink-bridge": 15e-6,
    "nvlink-mesh": 15e-6,
    "xgmi": 20e-6,
}
_PCIE_ALL_REDUCE_SECONDS: Final = 40e-6


@dataclass(frozen=True, slots=True)
class Range:
    """The slow and the fast end of an estimate."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of one replica of a layout.

    Attributes:
        weights: bytes of all weights.
        kv_bytes: bytes of one cached value.
    """

    architecture: ModelArchitecture
    gpu: Gpu
    width: Width
    weights: int
    kv_bytes: float
    tensor: int
    pipeline: int

    def tpot(self, batch: int, context: int) -> Range:
        """Seconds per output token at a batch of sequences that hold ``context`` tokens each."""
        fast, slow = (self._step(batch, context, end) for end in (1, 0))
        return Range(fast, slow)

    def decode_tokens_per_second(self, batch: int, context: int) -> Range:
        """Output tokens per second of the replica."""
        tpot = self.tpot(batch, context)
        return Range(batch / tpot.high, batch / tpot.low)

    def prefill_tokens_per_second(self) -> Range:
        """Prompt tokens per second of the replica: 2 FLOPs a parameter and token (arXiv 2001.08361, section 2.1)."""
        peak = self._flops() * self.tensor * self.pipeline
        rates = [peak * share / (2 * self.architecture.active_parameters) for share in _ARITHMETIC]
        return Range(*rates)

    def ttft(self, input_tokens: int) -> Range:
        """Seconds to the first token of a prompt on an idle replica."""
        rate = self.prefill_tokens_per_second()
        step = self.tpot(1, input_tokens)
        return Range(input_tokens / rate.high + step.low, input_tokens / rate.low + step.high)

    def _step(self, batch: int, context: int, end: int) -> float:
        bandwidth = self.gpu.bandwidth_gb_s * 1e9 * _BANDWIDTH[end]
        ranks = self.tensor * self.pipeline
        cache = batch * sequence_bytes_per_gpu(
            self.architecture, context, self.kv_bytes, tensor=self.tensor, pipeline=self.pipeline
        )
        # Stages of a pipeline work one after another on one token: their reads add up.
        memory = (self.weights * self._touched(batch) / ranks + cache) * self.pipeline / bandwidth
        work = 2 * self.architecture.active_parameters * batch
        arithmetic = work / (self._flops() * _ARITHMETIC[end] * self.tensor)
        hop = _ALL_REDUCE_SECONDS.get(self.gpu.interconnect.kind, _PCIE_ALL_REDUCE_SECONDS)
        network = 2 * self.architecture.layers * hop if self.tensor > 1 else 0.0
        return max(memory, arithmetic) + network + _STEP_SECONDS[end]

    def _touched(self, batch: int) -> float:
        """Share of the weights that a step reads: a batch touches an expert unless every token avoids it."""
        moe = self.architecture.moe
        if moe is None:
            return 1.0
        active = self.architecture.active_parameters / self.architecture.parameters
        miss: float = (1 - moe.experts_per_token / moe.experts) ** batch
        return active + (1 - active) * (1 - miss)

    def _flops(self) -> float:
        names = (self.width.quantization, self.width.dtype, "fp16")
        known = next((self.gpu.tflops[name] for name in names if name in self.gpu.tflops), None)
        return (known if known is not None else max(self.gpu.tflops.values())) * 1e12

    @property
    def caches(self) -> bool:
        """Whether the model decodes at all; an encoder answers in one prefill."""
        return self.architecture.attention is not Attention.NONE
