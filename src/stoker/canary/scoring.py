"""Is an answer as it should be? Exactly, by pattern, by meaning, or as a judge says.

A judge is never told which version answered. What cannot be judged (the judge does not answer, or says neither PASS nor FAIL)
is no data, never a failure.
"""

import json
import math
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx2

from stoker.canary.prompts import Endpoint, Judge, Prompt, PromptSet

__all__ = ["Scorer", "cosine"]

_TIMEOUT_S: Final = 60.0
_VERDICT: Final = re.compile(r"\b(PASS|FAIL)\b")
_ASK: Final = (
    "You judge an answer. Reply with one word: PASS if the answer meets the rubric, FAIL if it does not.\n\n"
    "Rubric: {rubric}\n\nQuestion:\n{question}\n\nAnswer:\n{answer}"
)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two vectors; 0 where one of them is zero."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


@dataclass
class Scorer:
    """Judges the answers to a prompt set; the same answer to the same prompt is judged once.

    Attributes:
        prompts: the set.
        client: to embedder and judge.
        trouble: what went wrong last; empty where nothing did.
    """

    prompts: PromptSet
    client: httpx2.Client
    trouble: str = ""
    _known: dict[tuple[int, str], bool] = field(default_factory=dict)
    _references: dict[str, list[float]] = field(default_factory=dict)

    def passes(self, index: int, answer: str) -> bool | None:
        """Whether the answer to a prompt is as it should be; None where nothing is expected, or nobody could say."""
        prompt = self.prompts.prompts[index]
        if prompt.expect is None:
            return None
        key = (index, answer)
        if key not in self._known:
            found = self._judge(prompt, answer)
            if found is None:
                return None
            self._known[key] = found
        return self._known[key]

    def _judge(self, prompt: Prompt, answer: str) -> bool | None:
        expect = prompt.expect
        if expect is None:
            return None
        if expect.exact is not None:
            return answer.strip() == expect.exact.strip()
        if expect.regex is not None:
            return re.search(expect.regex, answer) is not None
        try:
            if expect.embedding is not None and self.prompts.embeddings is not None:
                return self._is_near(
                    self.prompts.embeddings, expect.embedding.reference, answer, expect.embedding.least
                )
            if expect.judge is not None and self.prompts.judge is not None:
                return self._ask(self.prompts.judge, expect.judge, prompt, answer)
        except (
            httpx2.HTTPError,
            OSError,
            subprocess.SubprocessError,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            self.trouble = f"an answer could not be judged: {error}"[:300]
        return None

    def _is_near(self, endpoint: Endpoint, reference: str, answer: str, least: float) -> bool:
        if reference not in self._references:
            self._references[reference] = self._embed(endpoint, reference)
        return cosine(self._references[reference], self._embed(endpoint, answer)) >= least

    def _embed(self, endpoint: Endpoint, text: str) -> list[float]:
        body = {"model": endpoint.model, "input": text}
        response = self.client.post(
            f"{endpoint.url.rstrip('/')}/v1/embeddings", json=body, timeout=_TIMEOUT_S
        )
        response.raise_for_status()
        return [float(one) for one in response.json()["data"][0]["embedding"]]

    def _ask(self, judge: Judge, rubric: str, prompt: Prompt, answer: str) -> bool | None:
        question = "\n".join(one["content"] for one in prompt.conversation)
        if judge.command is not None:
            said = self._run(judge.command, {"prompt": question, "answer": answer, "rubric": rubric})
        else:
            text = _ASK.format(rubric=rubric, question=question, answer=answer)
            body = {"model": judge.model, "messages": [{"role": "user", "content": text}], "temperature": 0}
            url = f"{(judge.url or '').rstrip('/')}/v1/chat/completions"
            response = self.client.post(url, json=body, timeout=_TIMEOUT_S)
            response.raise_for_status()
            said = str(response.json()["choices"][0]["message"]["content"])
        words = _VERDICT.findall(said)
        if not words:
            self.trouble = f"the judge said neither PASS nor FAIL: {said.strip()[:100]!r}"
            return None
        return bool(words[-1] == "PASS")

    def _run(self, command: list[str], question: dict[str, str]) -> str:
        """What a program prints that gets the question as JSON on its standard input."""
        done = subprocess.run(  # noqa: S603  # the user's own program, an argument list, no shell
            command,
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        return done.stdout
