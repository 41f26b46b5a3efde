"""Whether an expression of the Common Expression Language can be read, in the words of the server's parser.

The server parses with cel-go, whose ANTLR grammar words its errors. Here the mistakes people make at the end of an expression
are recognised (an operator or a bracket that waits for more); every other expression passes, so the lab is the more
lenient of the two.
"""

import re

__all__ = ["expression_problem"]

_PRIMARY = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_WAITS = re.compile(r"(?:==|!=|<=|>=|<|>|\+|-|\*|/|%|&&|\|\||!|\?|:|\bin)\s*$")


def expression_problem(expression: str) -> str:
    """``compilation failed: ERROR: …`` of an expression that ends too early; empty for any other."""
    if not expression.strip() or not _WAITS.search(expression):
        return ""
    lines = expression.split("\n")
    last = lines[-1]
    column = len(last)
    text = f"mismatched input '<EOF>' expecting {_PRIMARY}"
    where = f"ERROR: <input>:{len(lines)}:{column + 1}: Syntax error: {text}"
    return f"compilation failed: {where}\n | {last}\n | {'.' * column}^"
