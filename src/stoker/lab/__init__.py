"""The lab: an embedded cluster on loopback that speaks the Kubernetes API to real clients."""
