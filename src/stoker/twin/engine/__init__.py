"""vLLM V1's engine: continuous batching over a paged KV cache with prefix caching, as an event kernel in virtual time.

- `spec`: what one replica was started with; `timing`: how long its steps take.
- `layout`, `state`: the columns that the kernel works on; `step`, `prefix`, `lists`: one replica; `route`, `run`: the
  replicas of a service and the event loop; `compiled`: numba where it is installed.
- `alone`: one engine under a load generator.
"""

from stoker.twin.engine.alone import EngineRun, closed_loop, open_loop, replay
from stoker.twin.engine.route import Policy
from stoker.twin.engine.spec import EngineSpec
from stoker.twin.engine.state import Load, Service, make_service

__all__ = [
    "EngineRun",
    "EngineSpec",
    "Load",
    "Policy",
    "Service",
    "closed_loop",
    "make_service",
    "open_loop",
    "replay",
]
