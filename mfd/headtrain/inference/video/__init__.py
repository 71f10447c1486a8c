"""Masks on moving images: files and cameras in, a file out, a few frames in memory at a time."""
