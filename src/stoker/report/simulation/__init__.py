"""What a simulation says, for people and for scripts."""
