"""A real Prometheus and Alertmanager beside the embedded cluster, configured by the objects in it.

- `config` (with `jobs`, `targets`, `rules`, `receivers`): from objects to files, as the Prometheus Operator does it.
- `speed`: what is translated for a lab whose clock is faster than the wall's.
- `processes`: the two servers as child processes.
- `query`: questions to that Prometheus, and KEDA's reading of the answers.
- `resources`: metrics.k8s.io; `state_metrics`, `exposition`: series of kube-state-metrics and of the API server.
- Pages arrive at `stoker.pages`' catcher.
- `facade`: all of it together.
"""

from stoker.lab.monitoring.facade import Monitoring, MonitoringStatus
from stoker.lab.monitoring.query import NO_DATA, NoData, QueryError, Range, Readings
from stoker.lab.monitoring.speed import LabTime, scaled_query

__all__ = [
    "NO_DATA",
    "LabTime",
    "Monitoring",
    "MonitoringStatus",
    "NoData",
    "QueryError",
    "Range",
    "Readings",
    "scaled_query",
]
