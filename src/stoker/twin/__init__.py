"""The digital twin: behaviour of cluster and engine as pure functions, and one event loop in virtual time."""
