"""A user's argument replaces ours, whatever its spelling."""

import pytest

from stoker.upgrades.serving.arguments import joined, option


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        pytest.param([], ["--tensor-parallel-size=4", "--enable-lora"], id="nothing to replace"),
        pytest.param(
            ["--tensor-parallel-size", "8"], ["--enable-lora", "--tensor-parallel-size", "8"], id="two tokens"
        ),
        pytest.param(
            ["--tensor_parallel_size=8"], ["--enable-lora", "--tensor_parallel_size=8"], id="underscores"
        ),
        pytest.param(["-tp", "8"], ["--enable-lora", "-tp", "8"], id="alias"),
        pytest.param(["--no-enable-lora"], ["--tensor-parallel-size=4", "--no-enable-lora"], id="negation"),
        pytest.param(
            ["--x", "a b"], ["--tensor-parallel-size=4", "--enable-lora", "--x", "a b"], id="new option"
        ),
    ],
)
def test_users_arguments_come_last_and_replace_ours(theirs: list[str], expected: list[str]) -> None:
    ours = [option("--tensor-parallel-size", 4), option("--enable-lora")]

    assert expected == joined(ours, theirs)


def test_an_option_of_several_tokens_goes_as_a_whole() -> None:
    assert ["--lora-modules", "c=/z"] == joined(
        [("--lora-modules", "a=/x", "b=/y")], ["--lora-modules", "c=/z"]
    )
