"""Options that several commands have: their values, and the model that a name stands for."""

from pathlib import Path
from typing import TYPE_CHECKING

from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.catalog.models import ModelArchitecture

__all__ = ["KV_CACHE_DTYPES", "QUANTIZATIONS", "architecture_of", "one_of"]

QUANTIZATIONS = ("auto", "none", "fp8", "int8", "awq", "gptq", "mxfp4", "nvfp4")
KV_CACHE_DTYPES = ("auto", "fp8")


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is none of the allowed ones.

    Raises:
        InputError: naming option, value and choices.
    """
    if value not in allowed:
        raise InputError([Problem("is not a choice", path=option, found=value, wanted=", ".join(allowed))])


def architecture_of(name: str) -> "ModelArchitecture":
    """The model of a catalogue id, a Hugging Face repository, or a folder with ``config.json``.

    Raises:
        InputError: the catalogue does not know it, or the folder holds no configuration.
    """
    from stoker.catalog.hf_config import load_model_folder
    from stoker.catalog.models import model

    if Path(name).is_dir() or name.startswith((".", "/")):
        return load_model_folder(Path(name))
    return model(name)
