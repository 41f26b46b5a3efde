"""CustomResourceDefinitions that a lab has from the start."""

from stoker.lab.crds.definitions import GROUPS, definitions
from stoker.lab.crds.install import install

__all__ = ["GROUPS", "definitions", "install"]
