"""Stands in for the package of this name, which needs a GPU."""
