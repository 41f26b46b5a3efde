"""A lab under random load that is killed again and again keeps every promise of an API server.

`STOKER_SOAK_SECONDS` is how long the long one goes (600), `STOKER_SOAK_SEED` repeats what a run asked for; what is in flight
when the process dies is the machine's own choice. A run that fails leaves its history beside the lab's folder.
"""

import os
import pickle
import secrets
from pathlib import Path

import pytest
from tests.lab.soak.checker import check
from tests.lab.soak.soak import Plan, counts, soak


def _run(folder: Path, plan: Plan) -> dict[str, int]:
    """Soak and check; every violation fails with the seed."""
    print(f"soak of {plan.seconds:g} s with seed {plan.seed}")  # noqa: T201  # shown where the test fails, or with -s
    history = soak(folder / "lab", plan)
    found = counts(history)
    print(f"seed {plan.seed}: {found}")  # noqa: T201
    violations = check(history)
    if violations:
        path = folder / "history.pickle"
        path.write_bytes(pickle.dumps(history))
        told = "\n".join(f"{one.kind}: {one.text}" for one in violations[:10])
        pytest.fail(f"STOKER_SOAK_SEED={plan.seed}: {len(violations)} violations, history in {path}\n{told}")
    return found


def _assert_tried(found: dict[str, int]) -> None:
    """A soak that asked for nothing would find nothing."""
    asked = ("create", "put", "json", "merge", "strategic", "apply", "delete")
    for what in (
        *(f"{verb} stored" for verb in asked), "writes gone", "refused Conflict", "refused NotFound",
        "refused AlreadyExists", "reads", "pages", "events", "bookmarks", "watches that were too old",
    ):  # fmt: skip
        assert found.get(what, 0) > 0, (what, found)


@pytest.mark.slow
def test_twenty_seconds_with_two_kills_break_no_promise(tmp_path: Path) -> None:
    found = _run(tmp_path, Plan(20, seed=5, pauses=(4, 8), kills=2, writes=400))

    assert found["kills"] >= 2
    _assert_tried(found)


@pytest.mark.slow
def test_ten_minutes_with_many_kills_break_no_promise(tmp_path: Path) -> None:
    seconds = float(os.environ.get("STOKER_SOAK_SECONDS", "600"))
    seed = int(os.environ.get("STOKER_SOAK_SEED") or secrets.randbits(32))
    found = _run(tmp_path, Plan(seconds, seed, kills=2))

    assert found["kills"] >= 2
    _assert_tried(found)
    assert found["writes lost"] > 0
