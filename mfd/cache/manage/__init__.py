"""The stores of a folder: list, find, verify, remove."""
