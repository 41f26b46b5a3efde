"""Files looked at by the servers' own tools before a server reads them: one bad file would keep it from reading any."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["bad_alertmanager_config", "bad_rule_files"]


async def bad_rule_files(texts: Mapping[str, str], known: dict[str, str]) -> dict[str, str]:
    """By name why promtool refuses a rule file; nothing where promtool is not installed.

    Args:
        texts: by name.
        known: by text what was said before; extended.
    """
    tool = shutil.which("promtool")
    new = {name: text for name, text in texts.items() if text not in known}
    if tool is not None and new:
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: Path(folder) / f"{index}.yaml" for index, name in enumerate(new)}
            for name, path in paths.items():
                path.write_text(new[name], encoding="utf-8")
            together = await _run(tool, "check", "rules", *(str(path) for path in paths.values()))
            for name, path in paths.items():
                said = "" if not together else await _run(tool, "check", "rules", str(path))
                known[new[name]] = said.replace(str(path), name)
    for text in set(known) - set(texts.values()):
        del known[text]
    return {name: known[text] for name, text in texts.items() if known.get(text)}


async def bad_alertmanager_config(text: str, folder: Path) -> str:
    """Why amtool refuses a configuration; empty where it does not, or is not installed. Secrets stay in the folder."""
    tool = shutil.which("amtool")
    if tool is None:
        return ""
    path = folder / ".checked.yml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        return await _run(tool, "check-config", str(path))
    finally:
        path.unlink(missing_ok=True)


async def _run(*arguments: str) -> str:
    """What a tool says where it fails."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    if not process.returncode:
        return ""
    wrong = [line for line in lines if "FAILED" not in line and not line.startswith("Checking")]
    return "; ".join(wrong or lines) or "refused"
