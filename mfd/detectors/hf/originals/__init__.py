"""Checkpoints as the authors of a family publish them, computed by Transformers' modelling."""
