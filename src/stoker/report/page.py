"""What every HTML page of ours shares: one file, no request, both colour schemes, phone and paper."""

from collections.abc import Iterable
from html import escape
from typing import Final

from stoker.report.controls import visible

__all__ = ["BASE_STYLE", "document"]

BASE_STYLE: Final = """
:root { color-scheme: light dark; --edge: #8884; --soft: #8881; --error: #c62828; --warning: #9a5b00; --info: #1565c0; --ok: #2e7d32; }
@media screen and (prefers-color-scheme: dark) { :root { --error: #ff8a80; --warning: #ffb74d; --info: #82b1ff; --ok: #81c784; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 0; }
code, pre { font: 13px/1.4 ui-monospace, monospace; } pre { background: var(--soft); overflow-x: auto; padding: .6rem; }
"""

# Nothing is loaded from anywhere, whatever a name in the page says.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, style: str, body: Iterable[str], script: str = "") -> str:
    """The whole file; ``title`` is escaped here, ``body`` is HTML.

    A page with a script of ours has no content policy: its hash would have to be in it, and it reads nothing but its own page.
    """
    policy = "" if script else f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{policy}<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{BASE_STYLE}{style}</style>\n</head>\n<body>\n<main>"
    )
    end = f"</main>\n{f'<script>{script}</script>{chr(10)}' if script else ''}</body>\n</html>\n"
    return visible("\n".join((head, *body, end)))
