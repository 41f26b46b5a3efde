"""Event streams in any pieces, and what answers say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.load.answers import Reading, error_words
from stoker.load.sse import EndlessEventError, EventReader

data = st.lists(
    st.binary(min_size=1, max_size=20).filter(lambda one: not set(b"\r\n") & set(one)), max_size=6
)


@given(data, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 200), max_size=8))
def test_events_are_the_same_however_their_bytes_come(
    events: list[bytes], end: bytes, cuts: list[int]
) -> None:
    stream = b"".join(b": ping" + end + b"event: x" + end + b"data: " + one + end + end for one in events)
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[begin:stop] for begin, stop in zip([0, *places], [*places, len(stream)], strict=True)]
    reader = EventReader()
    found = [one for piece in pieces for one in reader.feed(piece)] + reader.rest()
    assert found == events


def test_lines_of_one_event_are_joined_and_events_without_data_passed_over() -> None:
    assert EventReader().feed(b"data: a\ndata:b\n\n: comment\n\nid: 3\n\ndata: c\n\n") == [b"a\nb", b"c"]


def test_a_last_event_without_its_blank_line_is_found_in_the_end() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\n\ndata: [DONE]\n") == [b"a"]
    assert reader.rest() == [b"[DONE]"]


def test_an_event_that_does_not_end_is_no_answer() -> None:
    reader = EventReader()
    reader.feed(b"x" * (16 << 20))
    with pytest.raises(EndlessEventError):
        reader.feed(b"x")


def _event(**more: object) -> bytes:
    return json.dumps({"model": "m", "choices": [], **more}).encode()


def test_the_role_is_no_text_and_the_first_content_is() -> None:
    reading = Reading()
    assert not reading.event(_event(choices=[{"delta": {"role": "assistant", "content": ""}}]))
    assert reading.event(_event(choices=[{"delta": {"content": "a"}}]))
    assert reading.event(_event(choices=[{"delta": {"reasoning_content": "b"}}]))
    assert reading.event(_event(choices=[{"text": "c"}]))
    assert reading.chunks == 3
    assert not reading.has_finished
    reading.event(_event(choices=[{"delta": {}, "finish_reason": "length"}]))
    reading.event(_event(usage={"prompt_tokens": 5, "completion_tokens": 9}))
    assert reading.has_finished
    assert not reading.is_done
    reading.event(b"[DONE]")
    assert reading.is_done
    assert (reading.prompt_tokens, reading.output_tokens, reading.model) == (5, 9, "m")


def test_whole_answers_of_both_protocols_are_understood() -> None:
    chat, infer = Reading(), Reading()
    chat.whole(
        _event(
            choices=[{"message": {"content": "a"}}], system_fingerprint="fp", usage={"completion_tokens": 3}
        )
    )
    infer.whole(json.dumps({"model_name": "n", "model_version": "2", "outputs": [{"data": ["a"]}]}).encode())
    assert (chat.is_strange, chat.output_tokens, chat.fingerprint) == (False, 3, "fp")
    assert (infer.is_strange, infer.model, infer.fingerprint, infer.output_tokens) == (False, "n", "2", None)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"a": 1}', b'{"choices": 3}', b"\xff", b"[" * 100_000])
def test_what_is_no_answer_is_strange(body: bytes) -> None:
    reading = Reading()
    reading.whole(body)
    assert reading.is_strange


def test_an_error_in_the_stream_is_told() -> None:
    reading = Reading()
    reading.event(b'{"error": {"message": "engine\\ndied", "code": 500}}')
    assert reading.error == "engine died"


@given(st.binary(max_size=300))
def test_words_of_any_error_are_short_and_printable(body: bytes) -> None:
    words = error_words(body)
    assert len(words) <= 200
    assert words.isprintable()


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    reading = Reading()
    reading.event(body)
    reading.whole(body)
