"""The autoscalers: HPA v2 and KEDA, exact; Knative's KPA.

- `hpa`, `replicas`, `controller`: the HorizontalPodAutoscaler. `keda`: ScaledObjects. `knative`: the KPA.
"""
