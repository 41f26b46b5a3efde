"""Rules over a snapshot: what will fail in production, why, and how to mend it. Pure; see `audit.run.audit`."""
