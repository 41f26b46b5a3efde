"""The lab's API server answers recorded requests as a real 1.36 server did."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stoker.kube.yaml_text import Loader
from stoker.lab.api.call import User
from stoker.lab.assemble import Lab, assemble
from tests.lab.oracle.replay import Replay, send

_RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "oracle" / "api"
_USERS = {
    "viewer": User("viewer", ("system:authenticated",), "u-viewer"),
    "data-scientist": User("data-scientist", ("data-science", "system:authenticated"), "u-ds"),
}


@pytest.fixture(scope="module")
def lab(shared: Path) -> Iterator[Lab]:
    """A lab with the CRDs that the recording server had."""
    found = assemble(None, admin_token="admin", seed=0, users=_USERS)

    async def install() -> None:
        for document in _definitions(shared / "crds"):
            status, _, text = await send(
                found.application, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                headers={"Authorization": "Bearer admin", "Content-Type": "application/yaml"},
                body=yaml.safe_dump(document).encode(),
            )  # fmt: skip
            assert status == 201 or b"regular expression" in text, text[:2000]

    asyncio.run(install())
    found.manager.settle()
    yield found
    found.store.close()


def _definitions(folder: Path) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for path in sorted(folder.rglob("*.yaml")):
        if any(part in {"keda-v2.13.0", "kserve-v0.13.0"} for part in path.parts):
            continue
        for document in yaml.load_all(path.read_text(), Loader):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                if document["metadata"]["name"] not in seen:
                    seen.add(document["metadata"]["name"])
                    yield document


@pytest.mark.parametrize("name", sorted(path.stem for path in _RECORDINGS.glob("*.json")))
def test_a_recorded_exchange_is_reproduced(lab: Lab, name: str) -> None:
    replay = Replay(lab.application, lab.manager.settle)

    asyncio.run(replay.run(_RECORDINGS / f"{name}.json"))

    assert [] == [str(one) for one in replay.differences]
    assert replay.checked
