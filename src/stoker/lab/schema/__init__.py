"""What objects look like: OpenAPI schemas of built-in kinds and of custom resources, as one kind of node."""
