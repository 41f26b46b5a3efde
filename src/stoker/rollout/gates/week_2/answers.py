"""Whether a model's answers are what its protocol says. Pure: bodies in, what is wrong with them out.

Sources: OpenAI API reference (models, chat completions, completions, embeddings, streaming); Open Inference Protocol V2
(kserve/open-inference-protocol specification/protocol/inference_rest.md); KServe V1 (kserve docs, v1-protocol).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

__all__ = [
    "chat_problems",
    "completion_problems",
    "embedding_problems",
    "models_problems",
    "stream_problems",
    "v1_problems",
    "v2_infer_problems",
    "v2_metadata_problems",
]

_FINISHES: Final = frozenset(("stop", "length"))
# Models that think aloud put their text elsewhere (vLLM: reasoning, before 0.12 reasoning_content).
_TEXTS: Final = ("content", "reasoning", "reasoning_content")


def models_problems(body: Any, name: str) -> list[str]:
    """Of ``GET /v1/models``."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or body.get("object") != "list":
        return ["the answer is no list of models"]
    names = [one.get("id") for one in data if isinstance(one, dict)]
    return [] if name in names else [f"{name} is not among the models {names}"]


def chat_problems(body: Any, name: str, most: int) -> list[str]:
    """Of a chat completion of at most ``most`` tokens."""
    found = _head(body, name, "chat.completion")
    for choice in _choices(body):
        message = choice.get("message")
        if not isinstance(message, dict) or message.get("role") != "assistant":
            found.append("a choice has no message of the assistant")
        elif not any(isinstance(message.get(key), str) and message[key] for key in _TEXTS):
            found.append("the message is empty")
        found += _finish(choice)
    return found + _usage(body, most)


def completion_problems(body: Any, name: str, most: int) -> list[str]:
    """Of a completion of at most ``most`` tokens."""
    found = _head(body, name, "text_completion")
    for choice in _choices(body):
        if not isinstance(choice.get("text"), str) or not choice["text"]:
            found.append("a choice has no text")
        found += _finish(choice)
    return found + _usage(body, most)


def stream_problems(lines: Sequence[str], name: str, most: int) -> list[str]:
    """Of a streamed chat completion with ``include_usage``, as lines of the event stream."""
    events = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    if not events:
        return ["the answer is no stream of events"]
    found = [] if events[-1] == "[DONE]" else ["the stream does not end with [DONE]"]
    try:
        chunks = [json.loads(event) for event in events if event != "[DONE]"]
    except ValueError as error:
        return [*found, f"a chunk is no JSON: {error}"]
    for chunk in chunks:
        found += _head(chunk, name, "chat.completion.chunk", choices=False)
    choices = [one for chunk in chunks for one in chunk.get("choices") or ()]
    deltas = [one.get("delta") or {} for one in choices]
    if not any(isinstance(delta.get(key), str) and delta[key] for delta in deltas for key in _TEXTS):
        found.append("the stream has no text")
    ends = [one["finish_reason"] for one in choices if one.get("finish_reason")]
    if len(ends) != 1 or ends[0] not in _FINISHES:
        found.append(f"finish_reason is {ends} instead of one of {sorted(_FINISHES)}")
    counted = [chunk for chunk in chunks if chunk.get("usage")]
    return list(dict.fromkeys(found)) + (_usage(counted[-1], most) if counted else ["no chunk has the usage"])


def embedding_problems(body: Any, name: str) -> list[str]:
    """Of an embedding."""
    if not isinstance(body, dict):
        return ["the answer is no object"]
    data = body.get("data")
    vectors = (
        [one.get("embedding") for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    )
    found = [] if body.get("model") == name else [f"model is {body.get('model')!r} instead of {name!r}"]
    if len(vectors) != 1 or not isinstance(vectors[0], list) or not vectors[0]:
        found.append("there is not one vector")
    elif not all(isinstance(one, int | float) for one in vectors[0]) or not any(vectors[0]):
        found.append("the vector is not made of numbers, or of zeros only")
    if not _whole(body.get("usage"), "prompt_tokens"):
        found.append("usage counts no prompt tokens")
    return found


def v1_problems(body: Any, name: str) -> list[str]:
    """Of ``GET /v1/models/NAME`` of KServe's V1 protocol."""
    if not isinstance(body, dict) or body.get("name") != name:
        return [f"the answer does not name {name}"]
    return [] if body.get("ready") in {True, "True", "true"} else [f"ready is {body.get('ready')!r}"]


def v2_metadata_problems(body: Any, name: str) -> list[str]:
    """Of ``GET /v2/models/NAME``."""
    if not isinstance(body, dict) or body.get("name") != name:
        return [f"the metadata does not name {name}"]
    return [
        f"the metadata has no {key}" for key in ("inputs", "outputs") if not isinstance(body.get(key), list)
    ]


def v2_infer_problems(body: Any, name: str) -> list[str]:
    """Of ``POST /v2/models/NAME/infer``."""
    if not isinstance(body, dict):
        return ["the answer is no object"]
    found = (
        []
        if body.get("model_name") == name
        else [f"model_name is {body.get('model_name')!r} instead of {name!r}"]
    )
    outputs = body.get("outputs")
    if not isinstance(outputs, list) or not outputs:
        return [*found, "there is no output"]
    for one in outputs:
        missing = [key for key in ("name", "shape", "datatype", "data") if key not in (one or {})]
        if missing:
            found.append(f"an output has no {', '.join(missing)}")
        elif not one["data"]:
            found.append(f"output {one['name']} is empty")
    return found


# --- parts ------------------------------------------------------------------------------------------------------------


def _head(body: Any, name: str, kind: str, *, choices: bool = True) -> list[str]:
    if not isinstance(body, dict):
        return ["the answer is no object"]
    found = []
    if body.get("object") != kind:
        found.append(f"object is {body.get('object')!r} instead of {kind!r}")
    if not isinstance(body.get("id"), str) or not body["id"]:
        found.append("there is no id")
    if body.get("model") != name:
        found.append(f"model is {body.get('model')!r} instead of {name!r}")
    if choices and not list(_choices(body)):
        found.append("there is no choice")
    return found


def _choices(body: Any) -> Iterable[Mapping[str, Any]]:
    found = body.get("choices") if isinstance(body, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _finish(choice: Mapping[str, Any]) -> list[str]:
    reason = choice.get("finish_reason")
    return (
        [] if reason in _FINISHES else [f"finish_reason is {reason!r} instead of one of {sorted(_FINISHES)}"]
    )


def _usage(body: Any, most: int) -> list[str]:
    usage = body.get("usage") if isinstance(body, dict) else None
    prompt, made, total = (
        _whole(usage, key) for key in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if not prompt or not made:
        return [f"usage counts {prompt or 'no'} prompt and {made or 'no'} completion tokens"]
    found = [] if made <= most else [f"{made} tokens were made where {most} were allowed"]
    return (
        found if total == prompt + made else [*found, f"total_tokens is {total} instead of {prompt + made}"]
    )


def _whole(usage: Any, key: str) -> int:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
