"""Text as tokens, near enough: four bytes of UTF-8 are one.

A tokeniser of today's models makes about four characters of English a token, and two to three bytes of Chinese one; counting
bytes keeps both near. It needs no files and is deterministic. Answers are made of words of four bytes, the space in front
included, that are one token each in the vocabularies of GPT, Llama and Qwen as well, so that a client that counts with its own
tokeniser finds nearly what ``usage`` says.
"""

import math
import zlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final

__all__ = [
    "Prompt",
    "answer_words",
    "blocks_of_ids",
    "blocks_of_text",
    "chat_text",
    "count",
    "detokenize",
    "natural_length",
    "seed_of",
    "tokenize",
]

_BYTES: Final = 4
_FIRST: Final = b"That This Here When Some Most What With From They Then Each Many Both Once Only".split()
_WORDS: Final = [b" " + word for word in (
    b"the and for not you all new was one day get use man old see way who its now did "
    b"two how our out had his her has him let put say she too any may own off set end "
    b"run far few ask big air car eye job law lot men war act add age ago bad bed box "
    b"buy cut eat fit fly god got hit hot key low map mix net oil pay pop red row sea"
).split()]  # fmt: skip
# A chat template's markers about each message and before the answer (Llama 3: <|start_header_id|>role<|end_header_id|>, blank
# line, <|eot_id|>), in bytes at four a token.
_MESSAGE_BYTES: Final = 5 * _BYTES
_ANSWER_BYTES: Final = 4 * _BYTES
# Answers end by themselves after a length drawn from this lognormal: ShareGPT's answers as vLLM's benchmark samples them have a
# median near 180 tokens and a long tail. An assumption: what a model says to a prompt nobody knows.
_MEDIAN: Final = 180.0
_SIGMA: Final = 0.9
_NORMAL: Final = NormalDist()

Prompt = str | Sequence[int]
"""A prompt as it comes: text, or tokens."""


def count(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text.encode()) // _BYTES)


def tokenize(text: str) -> list[int]:
    """Identifiers of a text's tokens: their bytes as a number, so that `detokenize` needs no vocabulary."""
    data = text.encode()
    return [int.from_bytes(data[at : at + _BYTES], "little") for at in range(0, len(data), _BYTES)]


def detokenize(ids: Sequence[int]) -> str:
    """The text of `tokenize`'s identifiers; of others, whatever their bytes say."""
    return b"".join((each & 0xFFFFFFFF).to_bytes(_BYTES, "little").rstrip(b"\0") for each in ids).decode(
        errors="replace"
    )


def chat_text(messages: Sequence[Any]) -> str:
    """A conversation as one text, with a template's markers as padding."""
    parts = [f"{message.get('role', '')}:{_content(message.get('content'))}" + "\0" * (_MESSAGE_BYTES - 8) for message in messages]  # fmt: skip
    return "\n".join(parts) + "\0" * _ANSWER_BYTES


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return ""


def blocks_of_text(text: str, block_tokens: int) -> list[int]:
    """A hash of everything up to the end of each full block of a text."""
    data = text.encode()
    size = block_tokens * _BYTES
    found: list[int] = []
    key = 0
    for end in range(size, len(data) + 1, size):
        key = hash((key, data[end - size : end]))
        found.append(key)
    return found


def blocks_of_ids(ids: Sequence[int], block_tokens: int) -> list[int]:
    """The same of a prompt that comes as tokens."""
    found: list[int] = []
    key = 0
    for end in range(block_tokens, len(ids) + 1, block_tokens):
        key = hash((key, tuple(ids[end - block_tokens : end])))
        found.append(key)
    return found


def answer_words(seed: int, tokens: int) -> list[bytes]:
    """The answer's tokens as text, the same for the same seed."""
    words, stride, at = _WORDS, 1 + 2 * (seed % 31), seed
    found = [words[(at + stride * index) % len(words)] for index in range(tokens)]
    if found:
        found[0] = _FIRST[seed % len(_FIRST)]
    return found


def seed_of(text: bytes, seed: int | None) -> int:
    """A number that stands for a prompt and the client's ``seed``."""
    return zlib.crc32(text, 0 if seed is None else seed & 0xFFFFFFFF)


def natural_length(seed: int) -> int:
    """Tokens after which an answer ends by itself."""
    share = ((seed * 2654435761) % 2**32 + 0.5) / 2**32
    return max(1, round(_MEDIAN * math.exp(_SIGMA * _NORMAL.inv_cdf(share))))
