"""The format on disk: arrays, chunks, encodings."""
