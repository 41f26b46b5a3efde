"""What rules look at: the snapshot read once into workloads, servers, queries and the ties between them. Pure."""
