"""The training loop: losses, steps, checkpoints, validation; one head or several at once."""
