"""Progressive delivery: a new version gets a little of the traffic, and more as it shows that it is no worse."""
