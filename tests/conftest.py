"""Shared by all tests: a fixed environment, and the material beside the checkout."""

import os
import signal
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():  # read when Triton is first imported, hence here
    os.environ["TRITON_INTERPRET"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)  # more spin while others wait: tests run on all cores by pytest-xdist


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _heeded_signals() -> None:
    """Those that `nohup` and shells have background processes ignore, which children inherit."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) == signal.SIG_IGN:
            plain = signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
            signal.signal(each, plain)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference outputs, a real detector and real images; skips without it."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared folder: reference outputs and real images are absent")
    return folder
