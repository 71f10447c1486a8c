"""Stores on other machines: sent there and fetched again, unit by unit."""
