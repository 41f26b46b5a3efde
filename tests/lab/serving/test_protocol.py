"""Requests as OpenAI's clients send them, and errors in vLLM's words by release."""

import json
from typing import Any

import pytest

from stoker.lab.serving import tokens
from stoker.lab.serving.protocol import Ask, BadRequest, body_of, error_body, limits, parse


def asked(most: int | None = None, **more: Any) -> Ask:
    return parse({"messages": [{"role": "user", "content": "hi"}], "max_tokens": most, **more}, is_chat=True)


def refusal(body: dict[str, Any], *, is_chat: bool = True) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(body, is_chat=is_chat)
    return caught.value


def test_a_chat_is_read() -> None:
    body = {
        "model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}], "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True}, "max_completion_tokens": 5, "max_tokens": 9,
        "min_tokens": 2, "ignore_eos": True, "stop": "x", "seed": 3, "temperature": 0, "n": 1, "logprobs": False,
    }  # fmt: skip

    found = parse(body, is_chat=True)

    assert ("m", 5, 2, ("x",), True, True, True, True, 3) == (
        found.model, found.most, found.least, found.stop, found.ignores_eos, found.streams, found.with_usage,
        found.with_running_usage, found.seed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "count"), [("one", 1), (["one", "two"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)]
)
def test_prompts_come_in_four_forms(prompt: object, count: int) -> None:
    found = parse({"prompt": prompt}, is_chat=False)

    assert (count, 16) == (len(found.prompts), found.most)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "{'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 0 items>'}"),
        ({"messages": "x"}, "Input should be a valid list"),
        ({"messages": [{"content": "x"}]}, "body.messages.0.role"),
        ({"messages": [{"role": "user"}], "n": 2}, "n must be 1, got 2"),
        ({"messages": [{"role": "user"}], "logprobs": True}, "logprobs are not emulated"),
        ({"messages": [{"role": "user"}], "temperature": -1}, "temperature must be non-negative, got -1.0."),
        ({"messages": [{"role": "user"}], "top_p": 0}, "top_p must be in (0, 1], got 0.0."),
        ({"messages": [{"role": "user"}], "max_tokens": 0}, "max_tokens must be at least 1, got 0."),
        ({"messages": [{"role": "user"}], "max_tokens": "many"}, "Input should be a valid integer"),
        ({"messages": [{"role": "user"}], "max_tokens": 3, "min_tokens": 4}, "min_tokens must be less than or equal to max_tokens=3, got 4."),
        ({"messages": [{"role": "user"}], "stop": ""}, "stop cannot contain an empty string."),
        ({"messages": [{"role": "user"}], "stream_options": {"include_usage": True}}, "only be defined when `stream=True`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(body: dict[str, Any], words: str) -> None:
    error = refusal(body)

    assert 400 == error.status
    assert words in error.message


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_objects_are_refused(data: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        body_of(data, "application/json")

    assert 400 == caught.value.status


def test_another_media_type_is_refused() -> None:
    with pytest.raises(BadRequest, match="Only 'application/json' is allowed"):
        body_of(b"{}", "text/plain")


LONGEST = 100
TOO_LONG = [
    ("0.9.1", 10, 95,
     "This model's maximum context length is 100 tokens. However, you requested 105 tokens (95 in the messages, 10 in the completion). Please reduce the length of the messages or completion."),
    ("0.11.0", None, 120,
     "This model's maximum context length is 100 tokens. However, your request has 120 input tokens. Please reduce the length of the input messages."),
    ("0.11.0", 10, 95,
     "'max_tokens' or 'max_completion_tokens' is too large: 10. This model's maximum context length is 100 tokens and your request has 95 input tokens (10 > 100 - 95)."),
    ("0.23.0", 10, 95,
     "This model's maximum context length is 100 tokens. However, you requested 10 output tokens and your prompt contains at least 91 input tokens, for a total of at least 101 tokens. Please reduce the length of the input prompt or the number of requested output tokens."),
    ("0.33.0", None, 120,
     "This model's maximum context length is 100 tokens. However, your prompt contains at least 101 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."),
    ("0.33.0", 200, 5,
     "max_tokens=200 cannot be greater than max_model_len=100. Please request fewer output tokens."),
]  # fmt: skip


@pytest.mark.parametrize(("version", "most", "prompt", "words"), TOO_LONG)
def test_prompts_that_do_not_fit_are_refused_in_the_releases_words(
    version: str, most: int | None, prompt: int, words: str
) -> None:
    ask = parse(
        {"prompt": "x", "max_tokens": most} if most else {"messages": [{"role": "user"}]},
        is_chat=most is None,
    )

    with pytest.raises(BadRequest) as caught:
        limits(ask, prompt, LONGEST, version)

    assert words == caught.value.message


@pytest.mark.parametrize("version", ["0.9.1", "0.11.0", "0.23.0", "0.33.0"])
def test_without_a_bound_the_answer_may_fill_the_context(version: str) -> None:
    assert 60 == limits(asked(), 40, LONGEST, version)


def test_the_newest_release_cuts_the_answer_to_what_is_left() -> None:
    assert 20 == limits(asked(50), 80, LONGEST, "0.33.0")


def test_errors_have_the_releases_form() -> None:
    error = BadRequest("The model `x` does not exist.", status=404, kind="NotFoundError", param="model")
    inner = {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": None, "code": 404}

    assert {"object": "error", **inner} == json.loads(error_body(error, "0.9.1"))
    assert {"error": inner} == json.loads(error_body(error, "0.11.0"))
    assert {"error": {**inner, "param": "model"}} == json.loads(error_body(error, "0.33.0"))


def test_tokens_are_counted_alike_everywhere() -> None:
    text = "What is the capital of France? Größe 你好"

    ids = tokens.tokenize(text)

    assert tokens.count(text) == len(ids)
    assert text == tokens.detokenize(ids)


def test_answers_are_deterministic_and_of_the_counted_length() -> None:
    words = tokens.answer_words(7, 50)

    assert words == tokens.answer_words(7, 50)
    assert 50 == len(words) == tokens.count(b"".join(words).decode())


def test_natural_lengths_spread_about_their_median() -> None:
    drawn = sorted(tokens.natural_length(tokens.seed_of(b"%d" % each, None)) for each in range(2000))

    assert 160 < drawn[1000] < 200
    assert drawn[100] < 60
    assert drawn[1900] > 500


def test_blocks_of_a_prompt_depend_on_all_before_them() -> None:
    first, second = tokens.blocks_of_text("a" * 640, 16), tokens.blocks_of_text("b" + "a" * 639, 16)

    assert 10 == len(first) == len(second)
    assert not set(first) & set(second)
    assert first == tokens.blocks_of_text("a" * 650, 16)
    assert 2 == len(tokens.blocks_of_ids(list(range(33)), 16))
