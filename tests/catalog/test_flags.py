"""Complete option lists: what a release takes, and what it cannot be said of."""

import pytest

from stoker.catalog.engines import FlagState, _data, engine, flag_status
from stoker.catalog.flags import is_option, known_flags, span


@pytest.mark.parametrize(
    ("version", "flag", "taken"),
    [
        ("0.33.0", "--max-model-len", True),
        ("0.33.0", "--max_model_len", True),
        ("0.33.0", "--max-model-length", False),
        ("0.33.0", "--max-model", True),  # argparse takes a beginning
        ("0.33.0", "--no-enable-prefix-caching", True),
        ("0.33.0", "--compilation-config.level", True),
        ("0.33.0", "--swap-space", False),
        ("0.8.5", "--swap-space", True),
        ("0.8.5", "--shutdown-timeout", False),
        ("0.17.0", "--shutdown-timeout", True),  # between 0.16.0 and 0.19.0: it may be there
        ("0.33.0", "-tp", True),
    ],
)
def test_a_release_takes_its_own_flags(version: str, flag: str, *, taken: bool) -> None:
    known = known_flags("vllm", version)

    assert known is not None
    assert taken is is_option(flag, known)


@pytest.mark.parametrize("version", ["0.1.0", "0.6.5", "0.34.0", "1.0.0"])
def test_nothing_is_said_of_a_release_beyond_those_read(version: str) -> None:
    assert known_flags("vllm", version) is None


def test_nothing_is_said_of_other_engines() -> None:
    assert known_flags("sglang", "0.5.2") is None


def test_the_two_tables_agree() -> None:
    """Every flag with notes is in the complete list, and each is there in releases that its notes call known."""
    for flag in (name for name in _data("vllm")["flags"] if name.startswith("--")):
        assert span("vllm", flag) is not None, flag
        for release in engine("vllm").releases:
            if flag_status("vllm", release, flag).state is FlagState.KNOWN:
                continue  # the notes may be wider than what was read
            known = known_flags("vllm", release)
            removed = flag_status("vllm", release, flag).state is FlagState.REMOVED
            assert not (removed and known is not None and flag in known), (flag, release)
