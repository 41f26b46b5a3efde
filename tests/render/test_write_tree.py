"""Writing a rendered tree: all or nothing, and never over what Stoker did not write."""

from pathlib import Path

import pytest

from stoker.cli.files import INVENTORY, write_tree
from stoker.errors import InputError, UnsafeError


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != INVENTORY
    }


def test_a_new_folder_holds_exactly_what_was_rendered(tmp_path: Path) -> None:
    files = {"a.yaml": "a: 1\n", "deep/er/b.yaml": "b: 2\n"}

    write_tree(tmp_path / "out", files)

    assert files == tree(tmp_path / "out")
    assert ["out"] == [path.name for path in tmp_path.iterdir()]


def test_files_of_an_earlier_render_go_and_files_of_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_tree(out, {"a.yaml": "1\n", "old/b.yaml": "2\n"})
    (out / "CODEOWNERS").write_text("me\n")

    removed = write_tree(out, {"a.yaml": "3\n"})

    assert ["old/b.yaml"] == removed
    assert {"a.yaml": "3\n", "CODEOWNERS": "me\n"} == tree(out)
    assert not (out / "old").exists()


@pytest.mark.parametrize("edited", [True, False], ids=["edited since", "never ours"])
def test_a_file_that_is_not_ours_any_more_stops_everything(tmp_path: Path, edited: bool) -> None:  # noqa: FBT001
    out = tmp_path / "out"
    out.mkdir()
    if edited:
        write_tree(out, {"a.yaml": "1\n"})
    (out / "a.yaml").write_text("by hand\n")

    with pytest.raises(UnsafeError, match="nothing was changed"):
        write_tree(out, {"a.yaml": "2\n", "b.yaml": "2\n"})

    assert {"a.yaml": "by hand\n"} == tree(out)
    write_tree(out, {"a.yaml": "2\n"}, force=True)
    assert {"a.yaml": "2\n"} == tree(out)


def test_a_file_in_the_place_of_the_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        write_tree(tmp_path / "out", {"a.yaml": ""})


def test_a_broken_inventory_is_an_input_error(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_tree(out, {"a.yaml": "1\n"})
    (out / INVENTORY).write_text("[]")
    with pytest.raises(InputError, match="inventory"):
        write_tree(out, {"a.yaml": "2\n"})
