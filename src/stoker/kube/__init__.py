"""The only door to a Kubernetes API, and plain Kubernetes objects as every reader of a cluster sees them."""
