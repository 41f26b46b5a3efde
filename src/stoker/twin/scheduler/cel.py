"""CEL as selectors of DRA devices use it: attributes, capacities, comparisons, quantities, versions and strings.

Source: staging/src/k8s.io/dynamic-resource-allocation/cel/compile.go (the environment), cel-spec doc/langdef.md. Parsed once
an expression; `compiled` gives a function of a device. What is not understood raises CelError, as an error at run time does.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from stoker.twin.scheduler.cel_values import CelError, call, compare, equal, index, member

__all__ = ["CelError", "compiled"]

Scope = Mapping[str, Any]
Node = Callable[[Scope], Any]

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>\d+\.\d+|\d+)u?
    |(?P<string>r?"(?:\\.|[^"\\])*"|r?'(?:\\.|[^'\\])*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    )""",
    re.VERBOSE,
)
_ORDER: Final = ("<", "<=", ">", ">=", "==", "!=", "in")
_MACROS: Final = ("all", "exists", "exists_one", "filter", "map")
_WORDS: Final = {"true": True, "false": False, "null": None}


@cache
def compiled(expression: str) -> Node:
    """The expression as a function of its variables.

    Raises:
        CelError: it cannot be read.
    """
    parser = _Parser(_tokens(expression))
    found = parser.ternary()
    if parser.here < len(parser.tokens):
        raise CelError(f"syntax error at {parser.tokens[parser.here][1]!r}")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CelError(f"syntax error at {text[at:]!r}")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return found


def _text(token: str) -> str:
    if token[0] == "r":
        return token[2:-1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), token[1:-1])


def _both(left: Node, right: Node, ends: object) -> Node:
    """``&&`` and ``||``: a side that decides does so even where the other is an error."""

    def run(scope: Scope) -> bool:
        failed: CelError | None = None
        for side in (left, right):
            try:
                if side(scope) is ends:
                    return bool(ends)
            except CelError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return not ends

    return run


class _Parser:
    """Recursive descent; every method returns a function of the variables."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.here = 0

    def peek(self) -> str:
        kind, text = self.tokens[self.here] if self.here < len(self.tokens) else ("", "")
        return "" if kind == "string" else text

    def take(self, *signs: str) -> str:
        if self.peek() in signs:
            self.here += 1
            return self.tokens[self.here - 1][1]
        return ""

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise CelError(f"syntax error: expected {sign!r}")

    def ternary(self) -> Node:
        test = self.either()
        if not self.take("?"):
            return test
        yes = self.ternary()
        self.need(":")
        no = self.ternary()
        return lambda scope: yes(scope) if test(scope) else no(scope)

    def either(self) -> Node:
        left = self.both()
        while self.take("||"):
            left = _both(left, self.both(), True)
        return left

    def both(self) -> Node:
        left = self.relation()
        while self.take("&&"):
            left = _both(left, self.relation(), False)
        return left

    def relation(self) -> Node:
        left = self.sum()
        while sign := self.take(*_ORDER):
            left = _related(sign, left, self.sum())
        return left

    def sum(self) -> Node:
        left = self.product()
        while sign := self.take("+", "-"):
            left = _computed(sign, left, self.product())
        return left

    def product(self) -> Node:
        left = self.unary()
        while sign := self.take("*", "/", "%"):
            left = _computed(sign, left, self.unary())
        return left

    def unary(self) -> Node:
        if self.take("!"):
            inner = self.unary()
            return lambda scope: not inner(scope)
        if self.take("-"):
            inner = self.unary()
            return lambda scope: -inner(scope)
        return self.postfix(self.primary())

    def postfix(self, left: Node) -> Node:
        while sign := self.take(".", "["):
            if sign == "[":
                left = _indexed(left, self.ternary())
                self.need("]")
                continue
            name = self.name()
            if not self.take("("):
                left = _membered(left, name)
            elif name in _MACROS:
                left = self.macro(left, name)
            else:
                left = _called(name, left, self.list(")"))
        return left

    def name(self) -> str:
        kind, text = self.tokens[self.here] if self.here < len(self.tokens) else ("", "")
        if kind != "name":
            raise CelError(f"syntax error at {text!r}")
        self.here += 1
        return text

    def list(self, end: str) -> list[Node]:
        found: list[Node] = []
        while not self.take(end):
            found.append(self.ternary())
            if not self.take(","):
                self.need(end)
                break
        return found

    def macro(self, items: Node, name: str) -> Node:
        variable = self.name()
        self.need(",")
        body = self.ternary()
        self.need(")")

        def run(scope: Scope) -> Any:
            each = [(item, body({**scope, variable: item})) for item in items(scope)]
            kept = [item for item, yes in each if yes]
            if name == "map":
                return [result for _, result in each]
            if name == "filter":
                return kept
            return {"all": len(kept) == len(each), "exists": bool(kept), "exists_one": len(kept) == 1}[name]

        return run

    def bind(self) -> Node:
        """``cel.bind(name, value, body)``, after the bracket."""
        variable = self.name()
        self.need(",")
        value = self.ternary()
        self.need(",")
        body = self.ternary()
        self.need(")")
        return lambda scope: body({**scope, variable: value(scope)})

    def primary(self) -> Node:
        if self.take("("):
            inner = self.ternary()
            self.need(")")
            return inner
        if self.take("["):
            items = self.list("]")
            return lambda scope: [item(scope) for item in items]
        if self.here >= len(self.tokens):
            raise CelError("syntax error: unexpected end")
        kind, text = self.tokens[self.here]
        self.here += 1
        if kind == "number":
            number = float(text) if "." in text else int(text)
            return lambda _: number
        if kind == "string":
            string = _text(text)
            return lambda _: string
        if kind != "name":
            raise CelError(f"syntax error at {text!r}")
        return self.named(text)

    def named(self, text: str) -> Node:
        if text in _WORDS:
            word = _WORDS[text]
            return lambda _: word
        if text == "cel" and self.peek() == ".":
            self.need(".")
            if self.name() != "bind" or not self.take("("):
                raise CelError("undeclared reference to 'cel'")
            return self.bind()
        if self.take("("):
            arguments = self.list(")")
            return _there(arguments[0]) if text == "has" else _called(text, None, arguments)
        return lambda scope: index(scope, text)


def _there(inner: Node) -> Node:
    """``has(a.b)``: whether reading it is no error."""

    def run(scope: Scope) -> bool:
        try:
            inner(scope)
        except CelError:
            return False
        return True

    return run


def _related(sign: str, left: Node, right: Node) -> Node:
    if sign == "in":
        return lambda scope: any(equal(left(scope), item) for item in right(scope))
    if sign in {"==", "!="}:
        return lambda scope: equal(left(scope), right(scope)) is (sign == "==")
    return lambda scope: compare(sign, left(scope), right(scope))


def _computed(sign: str, left: Node, right: Node) -> Node:
    return lambda scope: call(sign, [left(scope), right(scope)])


def _indexed(left: Node, right: Node) -> Node:
    return lambda scope: index(left(scope), right(scope))


def _membered(left: Node, name: str) -> Node:
    return lambda scope: member(left(scope), name)


def _called(name: str, target: Node | None, arguments: Sequence[Node]) -> Node:
    parts = (*([target] if target is not None else []), *arguments)
    return lambda scope: call(name, [part(scope) for part in parts])
