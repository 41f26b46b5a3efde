"""What answers say: OpenAI's chat completions and completions, whole or as events, and the Open Inference Protocol's outputs.

Read 2026-11-27: vLLM 0.33.0, vllm/entrypoints/openai (chunks, `usage` in the last one, errors as an event of their own);
kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from typing import Any, Final

import msgspec

__all__ = ["Reading", "error_words"]

_DONE: Final = b"[DONE]"
_MOST_WORDS: Final = 200


class _Text(msgspec.Struct):
    content: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None
    message: _Text | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None
    model_name: str | None = None  # of the Open Inference Protocol
    model_version: str | None = None
    outputs: list[Any] | None = None


_decode: Final = msgspec.json.Decoder(_Body).decode


class Reading:
    """An answer as far as it has come.

    Attributes:
        chunks: events that brought text; what an answer's tokens are counted by where the server does not tell.
        prompt_tokens, output_tokens: as the server counts them; None where it does not say.
        model, fingerprint: as the answer names them; empty where it does not.
        has_finished: a reason why the answer ended has come. ``is_done``: the stream said that it is over.
        error: what the server reported in the middle of its answer.
        is_strange: something that came is no answer.
    """

    __slots__ = ("chunks", "error", "fingerprint", "has_finished", "is_done", "is_strange", "model", "output_tokens",
                 "prompt_tokens")  # fmt: skip

    def __init__(self) -> None:
        self.chunks = 0
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.model = self.fingerprint = self.error = ""
        self.has_finished = self.is_done = self.is_strange = False

    def event(self, data: bytes) -> bool:
        """Take one event of a stream; whether it brought text."""
        if data == _DONE:
            self.is_done = True
            return False
        body = self._body(data)
        if body is None:
            return False
        has_text = False
        for choice in body.choices:
            has_text = has_text or bool(choice.text) or _has_text(choice.delta)
            self.has_finished = self.has_finished or choice.finish_reason is not None
        self.chunks += has_text
        return has_text

    def whole(self, data: bytes) -> None:
        """Take an answer that came in one piece."""
        body = self._body(data)
        if body is None:
            return
        self.is_done = self.has_finished = True
        if not body.choices and body.outputs is None and not self.error:
            self.is_strange = True

    def _body(self, data: bytes) -> _Body | None:
        try:
            body = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.is_strange = True
            return None
        self.model = body.model or body.model_name or self.model
        self.fingerprint = body.system_fingerprint or body.model_version or self.fingerprint
        if body.error is not None:
            self.error = error_words(data)
        if body.usage is not None:
            if body.usage.prompt_tokens is not None:
                self.prompt_tokens = body.usage.prompt_tokens
            if body.usage.completion_tokens is not None:
                self.output_tokens = body.usage.completion_tokens
        return body


def _has_text(delta: _Text | None) -> bool:
    return delta is not None and bool(
        delta.content or delta.reasoning or delta.reasoning_content or delta.tool_calls
    )


def error_words(data: bytes) -> str:
    """The message of an error body, or the body itself, short and printable."""
    text = data[: 64 << 10].decode("utf-8", "replace")
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if isinstance(body, dict):
        inner = body.get("error", body)
        found = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(found, str):
            text = found
    shown = "".join(one if one.isprintable() else " " for one in text.strip()[:_MOST_WORDS])
    return " ".join(shown.split())
