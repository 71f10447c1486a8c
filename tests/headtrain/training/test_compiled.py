"""The head under `torch.compile`."""

import os
import subprocess
import sys


def test_compiled_head_is_one_graph_with_the_losses_and_gradients_of_the_eager_one() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.headtrain.training.compiled_step"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
