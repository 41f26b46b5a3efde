"""An operator on kopf, run by its tests as `kopf run`: it writes a line for everything that it is called for."""

import json
import os
from pathlib import Path
from typing import Any

import kopf

__all__ = ["changed", "gone", "known", "made", "settled"]

_GROUP, _VERSION, _PLURAL = "test.stoker.dev", "v1", "boxes"


def _write(word: str, name: str, **more: Any) -> None:
    with Path(os.environ["BOXES_LOG"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"word": word, "name": name, **more}) + "\n")


@kopf.on.startup()
def settled(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.level = 40  # events for failures only
    settings.networking.error_backoffs = [0.2] * 100
    settings.watching.reconnect_backoff = 0.2
    settings.watching.server_timeout = 20
    settings.queueing.error_delays = [0.2]
    _write("started", "")


@kopf.on.create(_GROUP, _VERSION, _PLURAL)
def made(name: str | None, spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> None:
    patch.status["size"] = spec["size"]
    _write("created", name or "", size=spec["size"])


@kopf.on.update(_GROUP, _VERSION, _PLURAL, field="spec.size")
def changed(name: str | None, old: Any, new: Any, patch: kopf.Patch, **_: Any) -> None:
    patch.status["size"] = new
    _write("updated", name or "", old=old, new=new)


@kopf.on.delete(_GROUP, _VERSION, _PLURAL)
def gone(name: str | None, **_: Any) -> None:
    _write("deleted", name or "")


@kopf.on.resume(_GROUP, _VERSION, _PLURAL)
def known(name: str | None, **_: Any) -> None:
    _write("resumed", name or "")
