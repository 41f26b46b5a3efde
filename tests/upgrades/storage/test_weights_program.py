"""The program that copies weights: once, whole, and proven."""

import sys
import types
from pathlib import Path

import pytest

from stoker.upgrades.storage.scripts import weights


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """KServe's package stands in its image only; this one writes two files and counts."""
    calls: list[str] = []

    class Storage:
        @staticmethod
        def download_files(sources: list[str], targets: list[str]) -> None:
            calls.extend(sources)
            Path(targets[0], "config.json").write_text("{}")
            Path(targets[0], "model.safetensors").write_text(sources[0])

    module = types.ModuleType("kserve_storage")
    module.Storage = Storage  # type: ignore[attr-defined]  # a module made by hand
    monkeypatch.setitem(sys.modules, "kserve_storage", module)
    return calls


def test_a_second_copy_of_a_whole_model_downloads_nothing(tmp_path: Path, downloads: list[str]) -> None:
    weights.copy(tmp_path, "chat", "hf://a/b")
    weights.copy(tmp_path, "chat", "hf://a/b")

    assert ["hf://a/b"] == downloads
    assert weights.intact(tmp_path / "chat")


def test_another_source_replaces_the_copy(tmp_path: Path, downloads: list[str]) -> None:
    weights.copy(tmp_path, "chat", "hf://a/b")
    weights.copy(tmp_path, "chat", "hf://a/c")

    assert ["hf://a/b", "hf://a/c"] == downloads
    assert (tmp_path / "chat" / "model.safetensors").read_text() == "hf://a/c"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat"]


def test_a_truncated_file_is_not_complete(tmp_path: Path, downloads: list[str]) -> None:
    weights.copy(tmp_path, "chat", "hf://a/b")
    (tmp_path / "chat" / "model.safetensors").write_text("")

    assert downloads
    assert not weights.complete(tmp_path / "chat")


def test_changed_bytes_of_the_same_size_are_not_intact(tmp_path: Path, downloads: list[str]) -> None:
    weights.copy(tmp_path, "chat", "hf://a/b")
    (tmp_path / "chat" / "model.safetensors").write_text("hf://a/X")

    assert downloads
    assert weights.complete(tmp_path / "chat")
    assert not weights.intact(tmp_path / "chat")


def test_waiting_for_a_copy_that_never_comes_fails(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="not complete"):
        weights.wait(tmp_path / "chat", -1)
