"""The autoscalers: HPA v2, KEDA and Knative's KPA, exact to upstream's own test tables (tests/twin/autoscaler).

- `hpa`, `replicas`, `rates`, `controller`: the HorizontalPodAutoscaler: its object, what a metric asks for, how fast it goes
  there, one sync.
- `scaledobject`, `keda`, `cron`: ScaledObjects, KEDA's loop, the HPA it keeps, its cron trigger.
- `kpa`, `knative`: the count that Knative's autoscaler wants, and what becomes of it tick by tick.

What a module leaves out stands at its head.
"""
