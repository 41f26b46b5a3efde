"""The parts of the rollout's page, each a function from the report to lines of HTML."""
