"""Characters that no reader sees: a name in a report cannot move a cursor or end a document."""

from typing import Final

__all__ = ["visible"]

_CONTROLS: Final = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in {0x09, 0x0A}}


def visible(text: str) -> str:
    """The text with every control character but tab and line feed replaced."""
    return text.translate(_CONTROLS)
