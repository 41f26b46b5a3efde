"""Quotas, priorities, defaults: who gets the GPUs when there are not enough."""
