"""Training the detector along with the head, by its own losses (table 16)."""
