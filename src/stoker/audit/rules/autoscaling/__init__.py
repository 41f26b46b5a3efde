"""Who sets the replicas, by which signal, between which bounds, and whether zero can wake."""
