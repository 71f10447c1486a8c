"""Detectors in Transformers' format: a repository or a folder becomes a detector."""
