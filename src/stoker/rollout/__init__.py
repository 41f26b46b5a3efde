"""The four-week rollout: phases, gates that measure, and evidence that stays in the cluster."""
