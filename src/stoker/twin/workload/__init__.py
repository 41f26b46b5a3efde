"""Traffic: traces read, fitted, stretched, spread over models.

- `read` (with `formats`, `parquet`): a trace from a file. `traffic`: requests as columns.
- `generate`, `profile`: traffic like a trace, of any length and shape.
"""

from stoker.twin.workload.generate import TrafficModel, fit, stretch
from stoker.twin.workload.profile import FLAT, RateProfile, read_profile
from stoker.twin.workload.read import Trace, read_trace
from stoker.twin.workload.traffic import Traffic, assign, cut, scale_rate

__all__ = [
    "FLAT",
    "RateProfile",
    "Trace",
    "Traffic",
    "TrafficModel",
    "assign",
    "cut",
    "fit",
    "read_profile",
    "read_trace",
    "scale_rate",
    "stretch",
]
