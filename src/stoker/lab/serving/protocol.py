"""What OpenAI's requests ask for, and the errors that vLLM answers them with, by release.

Words and forms are those of vLLM's source distributions (0.33.0: vllm/renderers/params.py, vllm/sampling_params.py,
vllm/entrypoints/serve/exception_handling; 0.8.5 to 0.30.0: vllm/entrypoints/openai/serving_engine.py; read 2026-11-27).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec

from stoker.catalog.versions import in_range
from stoker.lab.serving import tokens

__all__ = ["Ask", "BadRequest", "encode", "error_body", "limits", "parse"]

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class BadRequest(Exception):  # noqa: N818 - named as HTTP names it
    """A request that is answered with an error."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.param = message, status, kind, param


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client wants.

    Attributes:
        model: as named; empty for the server's own.
        prompts: texts or tokens; one for a chat.
        most: bound of the answer, None for none. ``least``: `min_tokens`.
        stop: strings that end an answer.
        ignores_eos: the answer is as long as it may be.
        streams, with_usage, with_running_usage: as in ``stream`` and ``stream_options``.
        seed: of sampling.
        is_chat: whether it came to the chat route.
    """

    model: str
    prompts: tuple[tokens.Prompt, ...]
    most: int | None
    least: int
    stop: tuple[str, ...]
    ignores_eos: bool
    streams: bool
    with_usage: bool
    with_running_usage: bool
    seed: int | None
    is_chat: bool


def error_body(error: BadRequest, version: str) -> bytes:
    """The error as a release of vLLM writes it; flat before 0.10.2."""
    inner: dict[str, Any] = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.status,
    }
    if _has(version, None, "0.10.2"):
        return encode({"object": "error", **inner, "param": None})
    if error.kind == "NotFoundError" and _has(version, None, "0.16.0"):
        inner["param"] = None
    return encode({"error": inner})


@lru_cache(maxsize=4096)
def _has(version: str, since: str | None, until: str | None) -> bool:
    return in_range(version, since, until)


def _invalid(*errors: Mapping[str, Any]) -> BadRequest:
    """The form of FastAPI's validation errors (validation_exception_handler of 0.33.0)."""
    count = len(errors)
    lines = "\n".join(f"  {dict(error)}" for error in errors)
    label = "error" if count == 1 else "errors"
    return BadRequest(
        f"{count} validation {label}:\n{lines}", kind=HTTPStatus.BAD_REQUEST.phrase, param=errors[0]["loc"]
    )


def _wrong(field: str, kind: str, message: str, value: object) -> BadRequest:
    shown = value
    if isinstance(value, (dict, list)):
        shown = f"<{type(value).__name__} of {len(value)} items>"
    return _invalid({"type": kind, "loc": f"body.{field}", "msg": message, "input": shown})


def body_of(data: bytes, media_type: str) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        BadRequest: it is none.
    """
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise BadRequest(
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
            kind=HTTPStatus.BAD_REQUEST.phrase,
        )
    try:
        body = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = {
            "type": "json_invalid",
            "loc": "body.0",
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": str(error)},
        }
        raise _invalid(message) from None
    if not isinstance(body, dict):
        raise _invalid({
            "type": "model_attributes_type", "loc": "body",
            "msg": "Input should be a valid dictionary or object to extract fields from", "input": str(body)[:200],
        })  # fmt: skip
    return body


def parse(body: dict[str, Any], *, is_chat: bool) -> Ask:
    """A request to ``/v1/chat/completions`` or ``/v1/completions``.

    Raises:
        BadRequest: it is none that vLLM takes, or wants what the lab does not emulate.
    """
    if is_chat:
        prompts: tuple[tokens.Prompt, ...] = (_conversation(body),)
    else:
        prompts = _prompts(body)
    most = _integer(body, "max_completion_tokens") if is_chat else None
    if most is None:
        most = _integer(body, "max_tokens")
    if most is None and not is_chat:
        most = 16  # OpenAI's default of the old route, which vLLM keeps
    options = body.get("stream_options")
    options = options if isinstance(options, dict) else {}
    streams = bool(body.get("stream"))
    if options and not streams:
        raise BadRequest(
            "Stream options can only be defined when `stream=True`.",
            kind="Bad Request",
            param="stream_options",
        )
    _sampling(body, most, is_chat=is_chat)
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise _wrong("model", "string_type", "Input should be a valid string", model)
    with_usage = bool(options.get("include_usage"))
    return Ask(
        model=model or "",
        prompts=prompts,
        most=most,
        least=_integer(body, "min_tokens") or 0,
        stop=_stop(body),
        ignores_eos=bool(body.get("ignore_eos")),
        streams=streams,
        with_usage=with_usage,
        with_running_usage=with_usage and bool(options.get("continuous_usage_stats")),
        seed=_integer(body, "seed"),
        is_chat=is_chat,
    )


def _conversation(body: Mapping[str, Any]) -> str:
    messages = body.get("messages")
    if messages is None:
        raise _wrong("messages", "missing", "Field required", dict(body))
    if not isinstance(messages, list):
        raise _wrong("messages", "list_type", "Input should be a valid list", messages)
    if not messages:
        raise BadRequest("list index out of range")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise _wrong(f"messages.{index}", "dict_type", "Input should be a valid dictionary", message)
        if "role" not in message:
            raise _wrong(f"messages.{index}.role", "missing", "Field required", message)
    return tokens.chat_text(messages)


def _prompts(body: Mapping[str, Any]) -> tuple[tokens.Prompt, ...]:
    prompt = body.get("prompt")
    if prompt is None or prompt in ("", []):
        raise BadRequest(
            "Either prompt or prompt_embeds must be provided and non-empty.",
            kind="Bad Request",
            param="prompt",
        )
    if isinstance(prompt, str):
        return (prompt,)
    if isinstance(prompt, list):
        if all(isinstance(each, str) for each in prompt):
            return tuple(prompt)
        if all(type(each) is int for each in prompt):
            return (prompt,)
        if all(isinstance(each, list) and each and all(type(id_) is int for id_ in each) for each in prompt):
            return tuple(prompt)
    raise _wrong("prompt", "string_type", "Input should be a valid string", prompt)


def _integer(body: Mapping[str, Any], field: str) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise _wrong(field, "int_type", "Input should be a valid integer", value)


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop")
    if stop is None:
        return ()
    found = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list) else None
    if found is None or not all(isinstance(each, str) for each in found):
        raise _wrong("stop", "string_type", "Input should be a valid string", stop)
    if "" in found:
        raise BadRequest("stop cannot contain an empty string.")
    return found


def _sampling(body: Mapping[str, Any], most: int | None, *, is_chat: bool) -> None:
    """vllm/sampling_params.py, `_verify_args`."""
    number = body.get("n")
    if number not in (None, 1):
        raise BadRequest(f"the lab emulates one answer a request: n must be 1, got {number}.", param="n")
    wanted = body.get("logprobs")
    if (
        wanted
        or (not is_chat and wanted == 0 and wanted is not False and wanted is not None)
        or body.get("prompt_logprobs")
    ):
        raise BadRequest("the lab has no probabilities: logprobs are not emulated.", param="logprobs")
    if body.get("echo") or body.get("suffix") or body.get("use_beam_search"):
        raise BadRequest("the lab emulates neither echo, suffix nor beam search.")
    _penalties(body)
    top = body.get("top_p")
    if isinstance(top, (int, float)) and not 0 < top <= 1:
        raise BadRequest(f"top_p must be in (0, 1], got {float(top)}.", param="top_p")
    if most is not None and most < 1:
        raise BadRequest(f"max_tokens must be at least 1, got {most}.", param="max_tokens")
    least = _integer(body, "min_tokens")
    if least is not None and least < 0:
        raise BadRequest(f"min_tokens must be greater than or equal to 0, got {least}.")
    if least is not None and most is not None and least > most:
        raise BadRequest(f"min_tokens must be less than or equal to max_tokens={most}, got {least}.")


def _penalties(body: Mapping[str, Any]) -> None:
    for field, low, high, words in (
        ("presence_penalty", -2.0, 2.0, "must be in [-2, 2]"),
        ("frequency_penalty", -2.0, 2.0, "must be in [-2, 2]"),
        ("temperature", 0.0, float("inf"), "must be non-negative"),
    ):
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _wrong(field, "float_type", "Input should be a valid number", value)
        if not low <= value <= high:
            raise BadRequest(f"{field} {words}, got {float(value)}.", param=field)


def limits(ask: Ask, prompt: int, longest: int, version: str) -> int:
    """Tokens that the answer may have.

    Raises:
        BadRequest: prompt and answer do not fit ``longest``, ``--max-model-len``, as the release judges it.
    """
    start = f"This model's maximum context length is {longest} tokens. However, "
    if _has(version, None, "0.10.2"):
        return _limits_before_0_10(start, ask.most, prompt, longest)
    if _has(version, None, "0.19.0"):
        param = _has(version, "0.16.0", None)
        return _limits_before_0_19(start, ask.most, prompt, longest, names_parameter=param)
    name = "max_completion_tokens" if ask.is_chat else "max_tokens"
    if ask.most is not None and ask.most > longest:
        raise BadRequest(
            f"{name}={ask.most} cannot be greater than max_model_len={longest}. Please request fewer output tokens.",
            param=name,
        )
    if _has(version, None, "0.33.0"):
        return _together(start, ask.most, prompt, longest)
    if prompt > longest:
        raise BadRequest(
            f"{start}your prompt contains at least {longest + 1} input tokens, which exceeds this limit even without any output "
            "tokens. Please reduce the length of the input prompt.",
            param="input_tokens",
        )
    if prompt == longest:
        raise BadRequest("max_tokens must be at least 1, got 0.", param="max_tokens")
    return min(ask.most or longest, longest - prompt)


def _limits_before_0_10(start: str, most: int | None, prompt: int, longest: int) -> int:
    asked = (most or 0) + prompt
    if most is None and prompt >= longest:
        raise BadRequest(
            f"{start}you requested {prompt} tokens in the messages, Please reduce the length of the messages."
        )
    if asked > longest:
        raise BadRequest(
            f"{start}you requested {asked} tokens ({prompt} in the messages, {most} in the completion). Please reduce the "
            "length of the messages or completion."
        )
    return most or longest - prompt


def _limits_before_0_19(
    start: str, most: int | None, prompt: int, longest: int, *, names_parameter: bool
) -> int:
    if prompt >= longest:
        raise BadRequest(
            f"{start}your request has {prompt} input tokens. Please reduce the length of the input messages.",
            param="input_tokens" if names_parameter else None,
        )
    if most is not None and prompt + most > longest:
        raise BadRequest(
            f"'max_tokens' or 'max_completion_tokens' is too large: {most}. This model's maximum context length is {longest} "
            f"tokens and your request has {prompt} input tokens ({most} > {longest} - {prompt}).",
            param="max_tokens" if names_parameter else None,
        )
    return most or longest - prompt


def _together(start: str, most: int | None, prompt: int, longest: int) -> int:
    """0.19 to 0.30: room for the answer is kept from the prompt."""
    room = longest - (most or 0)
    if prompt > room or (most is None and prompt >= longest):
        # The tokeniser stops one token beyond what is allowed.
        seen = room + 1
        raise BadRequest(
            f"{start}you requested {most or 0} output tokens and your prompt contains at least {seen} input tokens, for a total of "
            f"at least {seen + (most or 0)} tokens. Please reduce the length of the input prompt or the number of requested output "
            "tokens.",
            param="input_tokens",
        )
    return most or longest - prompt
