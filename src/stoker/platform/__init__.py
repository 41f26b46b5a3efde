"""The platform file: the one document a user writes, typed, loaded with every problem at once, explained.

`load`, `check` and `explain` are modules of this package; their functions are imported from there, so that one name
does not mean both.
"""

from stoker.platform.document import API_VERSION, Platform
from stoker.platform.load import Document, load_document, loads

__all__ = ["API_VERSION", "Document", "Platform", "load_document", "loads"]
