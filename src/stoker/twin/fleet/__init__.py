"""A fleet in virtual time: nodes, models, neighbours and faults on one agenda, around the engine's kernel.

- `spec`, `build`, `templates`, `engines`: what is run, from a platform with all, some or none of the upgrades.
- `simulation`, `agenda`: the run. `machines`, `pods`, `cpu`, `memory`, `nodes`, `faults`: the cluster.
- `workload`, `transfers`, `scaling`, `queries`: a model's replicas from pod to traffic, and their count.
- `neighbours`, `population`: training jobs, notebooks and services beside the inference.
- `series`, `results`: what is counted.
"""
