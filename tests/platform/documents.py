"""Small platform files for tests, as plain data that a case changes in one place."""

import copy
import json
from typing import Any, Final

from stoker.errors import InputError, Problem
from stoker.platform.load import loads

SMALL: Final[dict[str, Any]] = {
    "name": "demo",
    "pools": [{"name": "gpu", "gpu": "A100-SXM-80GB", "nodes": 4}],
    "models": [{"name": "llama", "source": "hf://meta-llama/Llama-3.1-8B-Instruct"}],
}


def document(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The small document with values put at dotted paths; ``pools.0.gpu`` reaches into lists."""
    result = copy.deepcopy(SMALL)
    for path, value in (changes or {}).items():
        *above, last = path.split(".")
        node: Any = result
        for part in above:
            if isinstance(node, list):
                while len(node) <= int(part):
                    node.append({})
                node = node[int(part)]
            else:
                node = node.setdefault(part, {})
        if isinstance(node, list):
            index = int(last)
            node[index : index + 1] = [value]
        else:
            node[last] = value
    return result


def problems(text: str | bytes) -> tuple[Problem, ...]:
    """What is wrong with a text; empty where nothing is."""
    try:
        loads(text, file="platform.yaml")
    except InputError as error:
        return error.problems
    return ()


def problems_of(changes: dict[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with the changed small document."""
    return problems(json.dumps(document(changes), indent=1))
