"""The two paths of every kernel, and memory that shows what nobody wrote."""

import pytest
import torch
from torch import Tensor


@pytest.fixture(params=["reference", "triton"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test on the PyTorch path and on the Triton kernels (interpreted without a GPU)."""
    monkeypatch.setenv("MFD_KERNELS", request.param)
    return str(request.param)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that nobody has written holds NaN, where PyTorch promises nothing."""
    if torch.cuda.is_available():
        torch.full((2**28,), float("nan"), device="cuda")  # freed at once, handed out again
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
        make = getattr(owner, name)

        def filled(*args: object, make=make, **options: object) -> Tensor:
            tensor = make(*args, **options)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

        monkeypatch.setattr(owner, name, filled)
