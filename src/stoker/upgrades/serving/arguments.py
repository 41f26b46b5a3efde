"""Command-line options of an engine: ours first, the user's last, and no option twice."""

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["Option", "joined", "option", "option_names"]

Option = tuple[str, ...]
"""One option as the tokens it is passed as: ``("--port=8000",)`` or ``("--lora-modules", "a=/x", "b=/y")``."""

# Other spellings of options that we compute ourselves (vllm/engine/arg_utils.py of 0.33.0, sglang/srt/server_args.py
# of 0.5). A user who writes the alias means the same option.
_ALIASES: Final = {
    "-tp": "--tensor-parallel-size",
    "-pp": "--pipeline-parallel-size",
    "-dp": "--data-parallel-size",
    "-q": "--quantization",
    "-n": "--nnodes",
    "-r": "--node-rank",
    "--tp": "--tensor-parallel-size",
    "--tp-size": "--tensor-parallel-size",
    "--pp": "--pipeline-parallel-size",
    "--pp-size": "--pipeline-parallel-size",
    "--dp": "--data-parallel-size",
    "--dp-size": "--data-parallel-size",
}


def option(flag: str, value: object = None) -> Option:
    """``--flag`` or ``--flag=value``; one token, so that a value may begin with a dash."""
    return (flag,) if value is None else (f"{flag}={value}",)


def joined(ours: Iterable[Option], theirs: Sequence[str]) -> list[str]:
    """Our options without those that the user's arguments repeat, then the user's arguments as written.

    Engines built on argparse take the last of two equal options without a word; dropping ours keeps the rendered
    command readable and makes the user's value the only one.
    """
    named = option_names(theirs)
    kept = [token for tokens in ours if _name(tokens[0]) not in named for token in tokens]
    return [*kept, *theirs]


def option_names(arguments: Sequence[str]) -> frozenset[str]:
    """Canonical names of the options in an argument list; ``--no-x`` counts as ``--x``."""
    return frozenset(_name(argument) for argument in arguments if argument.startswith("-"))


def _name(token: str) -> str:
    name = token.split("=", 1)[0]
    if name.startswith("--"):
        name = name.replace("_", "-")
        if name.startswith("--no-"):
            name = f"--{name.removeprefix('--no-')}"
    return _ALIASES.get(name, name)
