"""Prompts of a wanted number of tokens, the same for the same seed, made of words.

Every word has three letters and a blank in front: four bytes, and one token in the vocabularies of GPT, Llama and Qwen, so that a
real tokeniser and the lab (four bytes a token) both find about the length that was asked for. No two requests begin alike unless
the plan says so: a prefix cache that helped by accident would flatter the server.
"""

from typing import Final

import numpy as np

from stoker.load.plan import LoadPlan, Planned

__all__ = ["Prompts"]

_TEXT: Final = (
    "act add aid air all and any arm art ask bag ban bar bat bay bed bet bit box bug bus buy cap car cat cop "
    "cow cry cup cut day dot dry due ear eat egg end era eye fan far fat fee few fig fit fix fly fog fun gap "
    "gas get gun guy hat hen her hit hot how ice ink job joy key kid lab lap law lay led leg let lie lip log "
    "lot low man map may met mix mud net new nor not nut odd off oil old one our out own pan pay pen pet pie "
    "pin pit pot put ran raw red rid row run sad saw say sea see set"
)
_WORDS: Final = _TEXT.split()
_SIZE: Final = 4  # bytes of a word and its blank
_POOL: Final = 1 << 15
_TAG: Final = 4  # words that number a prompt: their powers are more than a plan may have requests


class Prompts:
    """Writes the prompts of a plan.

    Args:
        seed: of the words.
        block_tokens: tokens of a block that a prefix's hash id stands for; 0 where no request has a prefix.
    """

    def __init__(self, seed: int, block_tokens: int = 0) -> None:
        rng = np.random.default_rng([seed, 2])
        self._pool = " ".join(_WORDS[index] for index in rng.integers(0, len(_WORDS), _POOL)) + " "
        self._block_tokens = block_tokens

    @classmethod
    def of(cls, plan: LoadPlan) -> "Prompts":
        return cls(plan.seed, plan.prefix_block_tokens)

    def text(self, request: Planned) -> str:
        """The prompt, of as many words as the request's prompt has tokens."""
        parts: list[str] = []
        left = request.prompt_tokens
        if self._block_tokens:
            for block in request.prefix:
                words = min(left, self._block_tokens)
                if words > 0:
                    # A word that no number of a request begins with: blocks and requests are never the same text.
                    parts.append("the " + self._words(block & (2**63 - 1), words - 1))
                    left -= words
        if left > 0:
            parts.append(self._words(request.index, left))
        return "".join(parts).rstrip()

    def _words(self, number: int, count: int) -> str:
        tag: list[str] = []
        rest = number
        while (rest or len(tag) < _TAG) and len(tag) < count:
            rest, digit = divmod(rest, len(_WORDS))
            tag.append(_WORDS[digit] + " ")
        wanted = _SIZE * (count - len(tag))
        begin = _SIZE * (number * 7919 % _POOL)
        body = self._pool[begin : begin + wanted]
        while len(body) < wanted:
            body += self._pool[: wanted - len(body)]
        return "".join(tag) + body
