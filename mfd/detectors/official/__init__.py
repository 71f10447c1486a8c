"""The detectors of the paper, from their official checkpoints."""
