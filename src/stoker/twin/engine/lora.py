"""LoRA adapters of one replica: which are in the GPU's slots, who needs them, which gives way.

A batch holds requests of at most ``--max-loras`` adapters; a request of another one is passed over until an adapter is no
longer needed (vllm/v1/core/sched/scheduler.py, `scheduled_loras`). An adapter that is not in a slot takes the one least
recently used (vllm/lora/model_manager.py, `LRUCacheLoRAModelManager`), and loading it holds up the step.
"""

from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    AT_LORA,
    AT_REPLICAS,
    L_ADAPTER,
    L_ROW,
    L_RUNNING,
    L_USED,
    MAX_LORAS,
    R_LORA_LOADS,
    R_LORA_TURN,
    R_ROW,
)

__all__ = ["forget_adapters", "give_back_adapter", "place_of_adapter", "take_adapter"]


@compiled
def place_of_adapter(s: Column, replica: int, adapter: int) -> int:
    """Row of the slot that has ``adapter``, or that it can take; -1 while running requests need all of them."""
    begin = s[AT_LORA] + replica * s[MAX_LORAS] * L_ROW
    found = -1
    oldest = 0
    for place in range(s[MAX_LORAS]):
        row = begin + place * L_ROW
        if s[row + L_ADAPTER] == adapter:
            return int(row)
        if s[row + L_RUNNING] == 0 and (found < 0 or s[row + L_USED] < oldest):
            found = row
            oldest = s[row + L_USED]
    return int(found)


@compiled
def take_adapter(s: Column, replica: int, adapter: int, place: int) -> int:
    """A request that needs ``adapter`` runs: 1 if it has to be loaded first."""
    row = s[AT_REPLICAS] + replica * R_ROW
    s[row + R_LORA_TURN] += 1
    s[place + L_RUNNING] += 1
    s[place + L_USED] = s[row + R_LORA_TURN]
    if s[place + L_ADAPTER] == adapter:
        return 0
    s[place + L_ADAPTER] = adapter
    s[row + R_LORA_LOADS] += 1
    return 1


@compiled
def give_back_adapter(s: Column, replica: int, adapter: int) -> None:
    """A request that needed ``adapter`` runs no longer."""
    s[place_of_adapter(s, replica, adapter) + L_RUNNING] -= 1


@compiled
def forget_adapters(s: Column, replica: int) -> None:
    """The replica is gone: no slot holds anything."""
    begin = s[AT_LORA] + replica * s[MAX_LORAS] * L_ROW
    for place in range(s[MAX_LORAS]):
        s[begin + place * L_ROW + L_ADAPTER] = -1
        s[begin + place * L_ROW + L_RUNNING] = 0
        s[begin + place * L_ROW + L_USED] = 0
