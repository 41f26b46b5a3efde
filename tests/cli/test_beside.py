"""Work in a child process while this one waits."""

import os

import pytest

from stoker.cli.beside import beside
from stoker.errors import StokerError


def test_it_is_done_in_another_process_and_its_outcome_comes_back() -> None:
    with beside(os.getpid) as answer:
        assert os.getpid() != answer()


def test_its_error_is_raised_where_the_outcome_is_asked_for() -> None:
    def fail() -> None:
        raise StokerError("no", fix="yes")

    with beside(fail) as answer, pytest.raises(StokerError, match="no"):
        answer()


def test_a_child_that_was_killed_is_replaced_by_doing_it_here() -> None:
    here = os.getpid()

    def die_there() -> int:
        if os.getpid() != here:
            os._exit(1)
        return 7

    with beside(die_there) as answer:
        assert 7 == answer()


def test_what_is_not_asked_for_is_ended() -> None:
    with beside(lambda: os.read(os.pipe()[0], 1)):
        pass
