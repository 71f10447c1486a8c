"""Every head that the paper measures, by name, with its size."""
