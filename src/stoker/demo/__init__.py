"""The whole way on one machine: a cluster full of mistakes, its audit, the rollout with every gate, a canary, an incident.

Every figure is measured on the lab by the commands that a user runs; nothing is written here that was not seen.
"""
