"""Load: requests sent to a real server at planned times, and what became of them.

- `schedule`, `rates`: plans, from a rate, a trace or a list; `plan`: what a plan is. `prompts`: the words.
- `driver`: sends a plan, open loop; `background`: in a thread beside. `sending`: one request. `clock`: a lab's time.
- `target`: server and protocol. `answers`, `sse`: what comes back.
- `result`: what became of each request; `summary`: in figures; `verdict`: and whether promises were kept; `document`:
  as plain data.

Everything but `driver`, `sending`, `background`, `clock` and `reach` is pure. Sending needs the extra ``stoker[load]``.
"""

from stoker.load.background import LoadRun
from stoker.load.clock import Clock
from stoker.load.document import load_document
from stoker.load.driver import run, run_sync
from stoker.load.plan import LoadPlan, Planned
from stoker.load.rates import Phase
from stoker.load.result import LoadResult, Outcome, Result
from stoker.load.schedule import listed_plan, poisson_plan, trace_plan, traffic_plan
from stoker.load.summary import Part, Spread, Summary, summarise
from stoker.load.target import Api, Target
from stoker.load.verdict import Verdict, judge, parse_promises

__all__ = [
    "Api",
    "Clock",
    "LoadPlan",
    "LoadResult",
    "LoadRun",
    "Outcome",
    "Part",
    "Phase",
    "Planned",
    "Result",
    "Spread",
    "Summary",
    "Target",
    "Verdict",
    "judge",
    "listed_plan",
    "load_document",
    "parse_promises",
    "poisson_plan",
    "run",
    "run_sync",
    "summarise",
    "trace_plan",
    "traffic_plan",
]
