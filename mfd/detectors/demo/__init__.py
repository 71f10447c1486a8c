"""The demo detector, its weights in the package."""
