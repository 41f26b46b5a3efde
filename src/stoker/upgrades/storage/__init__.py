"""How weights reach the nodes: claims, copies, node-local stages and caches."""

from stoker.upgrades.storage.compiler import compile_storage
from stoker.upgrades.storage.volumes import weights_init_containers, weights_volume

__all__ = ["compile_storage", "weights_init_containers", "weights_volume"]
