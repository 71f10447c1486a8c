"""The training loop, from what a batch is to the run folder it leaves."""
