"""The lab's API server answers recorded requests as a real 1.36 server did."""

import asyncio
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lab.oracle.replay import Replay, send

from stoker.kube.yaml_text import Loader
from stoker.lab.api.call import User
from stoker.lab.assemble import Assembly, Lab, assemble

_RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "oracle" / "api"
# Of the folders with CRDs those that the recording server did not have.
_OLDER = {"keda-v2.13.0", "kserve-v0.13.0"}
_CA = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
_USERS = {
    "viewer": User("viewer", ("system:authenticated",), "u-viewer"),
    "data-scientist": User("data-scientist", ("data-science", "system:authenticated"), "u-ds"),
}


def open_lab(path: Path) -> Lab:
    """A lab on a database, with the users of the recordings."""
    # A clock that stands, so that no second ends between two writes: owners are listed by their seconds.
    parts = Assembly(speed=1e-9, seed=0, users=_USERS)
    found = assemble(path, admin_token="admin", authority=_CA, parts=parts)  # noqa: S106  # a test's token
    found.manager.begin()
    found.manager.settle()
    return found


@pytest.fixture(scope="module")
def prepared(shared: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A database with the CRDs that the recording server had; one for all workers, for it takes longer than the tests."""
    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    path = folder / "prepared.db"
    with (folder / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            prepare(folder / "preparing.db", shared)
            (folder / "preparing.db").rename(path)
    return path


def prepare(path: Path, shared: Path) -> None:
    lab = open_lab(path)

    async def install() -> None:
        for document in definitions(shared / "crds"):
            status, _, text = await send(
                lab.application, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                headers={"Authorization": "Bearer admin", "Content-Type": "application/json"},
                body=json.dumps(document).encode(),
            )  # fmt: skip
            assert status == 201, text[:2000]

    asyncio.run(install())
    lab.store.close()


def definitions(folder: Path) -> Iterator[dict[str, Any]]:
    """Every CustomResourceDefinition below a folder, each name once."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("*.yaml")):
        if _OLDER & set(path.parts):
            continue
        for document in yaml.load_all(path.read_text(), Loader):
            is_definition = isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition"
            if is_definition and document["metadata"]["name"] not in seen:
                seen.add(document["metadata"]["name"])
                yield document


@pytest.mark.parametrize("name", sorted(path.stem for path in _RECORDINGS.glob("*.json")))
def test_a_recorded_exchange_is_reproduced(prepared: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(prepared, tmp_path / "lab.db")
    lab = open_lab(tmp_path / "lab.db")
    replay = Replay(lab.application, lab.manager.settle)
    steps = json.loads((_RECORDINGS / f"{name}.json").read_text())["steps"]

    asyncio.run(replay.run(steps))
    lab.store.close()

    assert [] == [str(one) for one in replay.differences]
    assert replay.checked >= len(steps)
