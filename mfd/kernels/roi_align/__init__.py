"""RoIAlign."""
