"""How long one step of an engine takes: a roofline with measured efficiencies.

- `cost`: the seconds of a step in the form that the event kernel integrates;
- `parts`: what a step moves and computes, from the model's shapes; `figures`: the fitted efficiencies;
- `roofline`: the one from the others.
"""

from stoker.twin.engine.timing.cost import StepCost
from stoker.twin.engine.timing.roofline import step_cost

__all__ = ["StepCost", "step_cost"]
