"""The two paths of every kernel."""

import pytest


@pytest.fixture(params=["reference", "triton"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test on the PyTorch path and on the Triton kernels (interpreted without a GPU)."""
    monkeypatch.setenv("MFD_KERNELS", request.param)
    return str(request.param)
