"""Traffic: traces read, fitted, stretched, spread over models; and the jobs that other tenants run beside.

- `trace`: requests from a file. `traffic`: requests as columns. `combine`: cut, mixed, multiplied, assigned.
- `replay`: a trace again, as long and as dense as is wanted.
- `profile`, `shapes`, `rate_table`: how a rate changes over days.
- `generate`: traffic like a trace, of any length and shape. `arrivals`, `lengths`: traffic without one.
- `neighbours`: training jobs and notebooks.
"""

from stoker.twin.workload.arrivals import arrivals
from stoker.twin.workload.combine import assign, cut, mix, scale_rate, window
from stoker.twin.workload.generate import TrafficModel, fit, stretch
from stoker.twin.workload.lengths import LognormalLengths, synthesise
from stoker.twin.workload.neighbours import Job, JobMix, draw_jobs
from stoker.twin.workload.profile import FLAT, RateProfile, measured_profile
from stoker.twin.workload.rate_table import read_profile
from stoker.twin.workload.replay import is_stretched, replay
from stoker.twin.workload.trace.read import Trace, read_trace
from stoker.twin.workload.traffic import Traffic, prefix_reuse

__all__ = [
    "FLAT",
    "Job",
    "JobMix",
    "LognormalLengths",
    "RateProfile",
    "Trace",
    "Traffic",
    "TrafficModel",
    "arrivals",
    "assign",
    "cut",
    "draw_jobs",
    "fit",
    "is_stretched",
    "measured_profile",
    "mix",
    "prefix_reuse",
    "read_profile",
    "read_trace",
    "replay",
    "scale_rate",
    "stretch",
    "synthesise",
    "window",
]
