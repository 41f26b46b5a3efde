"""Inference servers: KServe objects, engines and their flags, probes, drains, what they refer to."""
