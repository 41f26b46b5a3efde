"""Labs on one machine have addresses of their own, and keep them."""

from pathlib import Path

import pytest

from stoker.errors import StokerError
from stoker.lab.place import claim


def test_two_labs_never_have_the_same_addresses_at_once(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(20)]
    for folder in folders:
        folder.mkdir()

    places = [claim(folder) for folder in folders]

    try:
        assert len({place.number for place in places}) == len(folders)
    finally:
        for place in places:
            place.close()


def test_a_folder_keeps_its_addresses(tmp_path: Path) -> None:
    first = claim(tmp_path)
    first.close()
    second = claim(tmp_path)
    second.close()

    assert first.number == second.number


def test_a_folder_whose_addresses_another_lab_has_is_refused_with_the_way_out(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    held = claim(one)
    (two / "place").write_text(f"{held.number}\n")

    try:
        with pytest.raises(StokerError, match="another lab uses the addresses") as refused:
            claim(two)
    finally:
        held.close()
    assert "stoker lab down" in refused.value.fix
