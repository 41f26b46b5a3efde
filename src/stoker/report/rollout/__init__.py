"""What a rollout brought, from measured sources, with the guide's claims beside it: terminal, JSON and one HTML page."""
