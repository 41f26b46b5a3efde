"""What the API server does to objects of one kind: defaults, what a client may not set, validation, warnings."""
