"""Nodes, taints, affinity, spread, GPUs of pods: where pods land, and whether a rollout can move."""
