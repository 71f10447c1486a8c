"""Training runs and heads as folders."""
