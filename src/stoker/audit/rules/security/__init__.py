"""Secrets, privileges and doors left open around model servers."""
