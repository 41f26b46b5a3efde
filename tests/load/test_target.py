"""Where requests go, what they look like, and what is refused before one is sent."""

import json

import pytest

from stoker.errors import InputError
from stoker.load import Api, Planned, Target
from stoker.load.target import body_of, check_target, headers_of, shown_url, url_of


@pytest.mark.parametrize(
    ("url", "api", "expected"),
    [
        ("http://h:1", Api.CHAT, "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", Api.CHAT, "http://h:1/v1/chat/completions"),
        ("http://h/openai", Api.CHAT, "http://h/openai/v1/chat/completions"),
        ("http://h/openai/v1", Api.COMPLETIONS, "http://h/openai/v1/completions"),
        ("http://h/a/v1/chat/completions", Api.CHAT, "http://h/a/v1/chat/completions"),
        ("http://h", Api.INFER, "http://h/v2/models/llama%2F8b/infer"),
        ("http://h/x/v2", Api.INFER, "http://h/x/v2/models/llama%2F8b/infer"),
        ("http://h/v2/models/n/infer", Api.INFER, "http://h/v2/models/n/infer"),
        ("https://h/v1?api-version=2", Api.CHAT, "https://h/v1/chat/completions?api-version=2"),
    ],
)
def test_the_route_is_found_from_whatever_part_of_the_url_is_given(url: str, api: Api, expected: str) -> None:
    assert url_of(Target(url, api), "llama/8b") == expected


def test_a_streamed_chat_asks_for_its_usage_and_its_whole_length() -> None:
    body = json.loads(body_of(Target("http://h"), Planned(0, 0.0, 3, 40, "m"), "one two six"))
    assert body == {
        "model": "m", "max_tokens": 40, "ignore_eos": True, "temperature": 0.0,
        "messages": [{"role": "user", "content": "one two six"}],
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_other_forms_have_what_their_protocols_have() -> None:
    request = Planned(0, 0.0, 3, 40, "m")
    plain = json.loads(body_of(Target("http://h", Api.COMPLETIONS, streams=False, exact=False), request, "a"))
    assert plain == {"model": "m", "max_tokens": 40, "temperature": 0.0, "prompt": "a"}
    infer = json.loads(body_of(Target("http://h", Api.INFER, extra=(("top_k", 1),)), request, "a"))
    assert infer["inputs"] == [{"name": "input-0", "shape": [1], "datatype": "BYTES", "data": ["a"]}]
    assert infer["parameters"] == {"max_tokens": 40, "ignore_eos": True, "top_k": 1}


def test_the_token_comes_from_the_environment_and_is_in_no_description() -> None:
    target = Target("http://h", host="llm.example.com", key_env="KEY", headers=(("x-tenant", "a"),))
    headers = headers_of(target, {"KEY": "s3cret"})
    assert headers["Authorization"] == "Bearer s3cret"
    assert (headers["Host"], headers["x-tenant"]) == ("llm.example.com", "a")
    assert "s3cret" not in repr(target)


def test_what_is_shown_of_a_url_has_no_secret() -> None:
    assert shown_url("https://user:word@h:1/v1?key=abc#x") == "https://h:1/v1"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target("ftp://h"), "no URL"),
        (Target("h:80"), "no URL"),
        (Target("http://h:99999"), "no URL"),
        (Target("http://u:word@h"), "seen by everybody"),
        (Target("http://h", headers=(("authorization", "Bearer word"),)), "seen by everybody"),
        (Target("http://h", headers=(("x\r\ny", "1"),)), "no header"),
        (Target("http://h", headers=(("x", "1\r\ny: 2"),)), "no header"),
        (Target("http://h", key_env="EMPTY"), "environment variable is empty"),
    ],
)
def test_a_target_that_cannot_or_must_not_be_used_is_refused(target: Target, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_target(target, {"EMPTY": ""})
    assert "word" not in str(caught.value).replace("no password", "")
