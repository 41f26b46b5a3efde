"""The API server without its wire: calls come in as values, answers go out as values."""
