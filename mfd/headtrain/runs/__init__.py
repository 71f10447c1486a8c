"""Training runs as folders: configuration, cost, weights, figures."""
