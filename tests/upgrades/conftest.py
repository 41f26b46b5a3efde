"""The real path from text to a resolved platform, for the tests of every compiler."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from stoker.platform.load import loads
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted

BASE = """
name: ai
pools:
  - {name: a100, gpu: A100-SXM-80GB, nodes: 4}
tenants:
  - {name: prod, class: production}
  - {name: lab, class: experiments, quota: {gpus: 2}}
models:
  - name: chat
    tenant: prod
    source: hf://meta-llama/Meta-Llama-3-70B-Instruct
"""

Resolver = Callable[[str], ResolvedPlatform]


@pytest.fixture(scope="session")
def resolved() -> Resolver:
    """Resolve the text of a platform file."""

    def run(text: str) -> ResolvedPlatform:
        return resolve(loads(text))

    return run


@pytest.fixture(scope="session")
def base() -> str:
    """A small platform; tests append sections or replace parts."""
    return BASE


@pytest.fixture(scope="session")
def named() -> Callable[..., dict[str, Any]]:
    """The one object of a kind, by name and namespace where given; fails where there are none or several."""

    def find(items: Iterable[Emitted], kind: str, name: str = "", namespace: str = "") -> dict[str, Any]:
        found = [
            item.object
            for item in items
            if item.object["kind"] == kind
            and name in ("", item.object["metadata"]["name"])
            and namespace in ("", item.object["metadata"].get("namespace"))
        ]
        assert len(found) == 1, [item["metadata"] for item in found]
        return found[0]

    return find
