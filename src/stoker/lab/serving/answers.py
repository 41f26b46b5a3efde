"""Answers on their way: the tokens of a request as the client wants them, whole or as a stream of events."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.lab.serving.http import Exchange
from stoker.lab.serving.protocol import encode
from stoker.lab.serving.request import Request

__all__ = ["Answer", "Job", "Plan"]

_WORD: Final = 4  # bytes of a token's text


@dataclass(frozen=True, slots=True)
class Plan:
    """What one answer will be.

    Attributes:
        words: its tokens as text.
        text_end: bytes of its text that the client sees: less than the words where a stop string cuts them.
        finish: ``stop`` or ``length``. ``stop_reason``: the string that ended it.
        prompt: tokens of the prompt.
    """

    words: Sequence[bytes]
    text_end: int
    finish: str
    stop_reason: str | None
    prompt: int


class Job:
    """All answers to one HTTP request.

    Args:
        exchange: whose they are.
        identifier, model: as in the answer.
        plans: one for each prompt.
        finished: called with the whole body's parts when the last answer is complete and nothing is streamed.
    """

    def __init__(
        self,
        exchange: Exchange,
        identifier: str,
        model: str,
        plans: Sequence[Plan],
        *,
        is_chat: bool,
        streams: bool,
        with_usage: bool,
        with_running_usage: bool,
        finished: "Callable[[Job], None]",
    ) -> None:
        self.exchange, self.identifier, self.model, self.plans = exchange, identifier, model, plans
        self.is_chat, self.streams = is_chat, streams
        self.with_usage, self.with_running_usage = with_usage, with_running_usage
        self.created = int(time.time())
        self.answers = [Answer(self, index, plan) for index, plan in enumerate(plans)]
        self.requests: list[Request] = []
        self.cached = 0
        self._left = len(plans)
        self._finished = finished
        self._is_started = False

    def start(self) -> None:
        if not self._is_started:
            self._is_started = True
            self.exchange.start(200, "text/event-stream; charset=utf-8")

    def ended(self) -> None:
        """One answer is complete."""
        self._left -= 1
        if self._left:
            return
        if not self.streams:
            self._finished(self)
            return
        tail = b""
        if self.with_usage:
            tail = b"data: %b\n\n" % encode({**self.frame(), "choices": [], "usage": self.usage()})
        self.exchange.send(tail + b"data: [DONE]\n\n")
        self.exchange.end()

    def frame(self) -> dict[str, Any]:
        """What every chunk begins with."""
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return {"id": self.identifier, "object": kind, "created": self.created, "model": self.model}

    def usage(self) -> dict[str, Any]:
        prompt = sum(plan.prompt for plan in self.plans)
        made = sum(answer.sent for answer in self.answers)
        return _usage(prompt, made)

    def fail(self, body: bytes, status: int = 500) -> None:
        """The engine died before the end."""
        if self.streams and self._is_started:
            self.exchange.send(b"data: %b\n\ndata: [DONE]\n\n" % body)
            self.exchange.end(keep=False)
        else:
            self.exchange.respond(status, body)


def _usage(prompt: int, made: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + made,
        "completion_tokens": made,
        "prompt_tokens_details": None,
    }


class Answer:
    """One answer: listens to its engine."""

    __slots__ = ("_head", "_job", "_plan", "_tail", "index", "sent", "streams")

    def __init__(self, job: Job, index: int, plan: Plan) -> None:
        self._job, self._plan, self.index = job, plan, index
        self.streams = job.streams
        self.sent = 0
        self._head = self._tail = b""
        if self.streams:
            whole = encode({**job.frame(), "choices": [self._choice("\0")]})
            head, tail = whole.split(b"\\u0000")
            size = len(whole) - len(b"\\u0000") + _WORD + len(b"data: \n\n")
            self._head = b"%x\r\ndata: %b" % (size, head)
            self._tail = tail + b"\n\n\r\n"

    def _choice(self, text: str, finish: str | None = None) -> dict[str, Any]:
        if self._job.is_chat:
            choice = {
                "index": self.index,
                "delta": {"content": text},
                "logprobs": None,
                "finish_reason": finish,
            }
        else:
            choice = {"index": self.index, "text": text, "logprobs": None, "finish_reason": finish}
        return choice if finish is None else {**choice, "stop_reason": self._plan.stop_reason}

    def progress(self, made: int) -> None:
        """Send what is new: a chunk a token, all in one write."""
        job, plan = self._job, self._plan
        if made <= self.sent:
            return
        pieces: list[bytes] = []
        if not self.sent:
            job.start()
            if job.is_chat:
                delta = {"role": "assistant", "content": ""}
                first = {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": None}
                job.exchange.send(b"data: %b\n\n" % encode({**job.frame(), "choices": [first]}))
        last = len(plan.words)
        # Beyond a stop string's place nothing is shown, and the last token carries the reason: both are written apart.
        plain = min(made, last - 1, plan.text_end // _WORD)
        for place in range(self.sent, made):
            if place < plain and not job.with_running_usage:
                pieces.append(self._head + plan.words[place] + self._tail)
            else:
                self.sent = place + 1
                chunk = self._chunk(place, place + 1 == last)
                pieces.append(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.sent = made
        job.exchange.raw(b"".join(pieces))

    def _chunk(self, place: int, is_last: bool) -> bytes:  # noqa: FBT001 - private
        plan, job = self._plan, self._job
        start = place * _WORD
        text = plan.words[place][: max(0, plan.text_end - start)].decode()
        body = {**job.frame(), "choices": [self._choice(text, plan.finish if is_last else None)]}
        if job.with_running_usage:
            body["usage"] = _usage(plan.prompt, place + 1)
        return b"data: %b\n\n" % encode(body)

    def ended(self, request: Request) -> None:
        if request.reason == "abort":
            return
        if self.streams:
            self.progress(len(self._plan.words))
        self.sent = len(self._plan.words)
        self._job.cached += request.cached
        self._job.ended()

    @property
    def text(self) -> str:
        return b"".join(self._plan.words)[: self._plan.text_end].decode()

    @property
    def choice(self) -> dict[str, Any]:
        """The answer as a part of a whole body."""
        plan = self._plan
        end = {"logprobs": None, "finish_reason": plan.finish, "stop_reason": plan.stop_reason}
        if self._job.is_chat:
            message = {"role": "assistant", "content": self.text, "refusal": None, "annotations": None, "audio": None,
                       "function_call": None, "reasoning": None}  # fmt: skip
            return {"index": self.index, "message": message, **end, "token_ids": None}
        return {
            "index": self.index,
            "text": self.text,
            **end,
            "token_ids": None,
            "prompt_logprobs": None,
            "prompt_token_ids": None,
        }
