"""The rules, one package an upgrade. A module holds rules about one thing; `audit.registry` imports them all."""
