"""The gates of the four weeks, one module a week."""
