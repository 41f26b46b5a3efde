"""How long one step of an engine takes: a roofline with measured efficiencies."""

from stoker.twin.engine.timing.cost import StepCost
from stoker.twin.engine.timing.roofline import step_cost

__all__ = ["StepCost", "step_cost"]
