"""Which path runs, and why."""

import pytest
import torch

from mfd.errors import KernelError
from mfd.kernels.dispatch import choose_path, kernel_report

CPU = torch.device("cpu")


def test_devices_without_triton_take_the_pytorch_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MFD_KERNELS", raising=False)
    for device in ("cpu", "mps", "xpu"):
        assert choose_path(torch.device(device), torch.float32).path == "reference"
    assert kernel_report("cpu") == "PyTorch path on cpu: no Triton for cpu"


def test_nvidia_devices_take_triton_from_ampere_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MFD_KERNELS", raising=False)
    device = torch.device("cuda", 0)
    for capability, expected in (((7, 0), "reference"), ((8, 0), "triton"), ((9, 0), "triton")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert choose_path(device, torch.bfloat16).path == expected
    assert choose_path(device, torch.float8_e4m3fn).path == "reference"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert "compute capability 7.5" in kernel_report("cuda:0")


def test_without_the_package_the_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MFD_KERNELS", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    choice = choose_path(torch.device("cuda", 0), torch.float32)
    assert choice == ("reference", "the package triton is not installed")


def test_setting_overrides_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFD_KERNELS", "reference")
    assert choose_path(torch.device("cuda", 0), torch.float32).path == "reference"
    monkeypatch.setenv("MFD_KERNELS", "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert choose_path(CPU, torch.float32).path == "triton"


def test_settings_that_cannot_be_followed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFD_KERNELS", "cuda")
    with pytest.raises(KernelError, match="MFD_KERNELS is 'cuda'"):
        choose_path(CPU, torch.float32)
    monkeypatch.setenv("MFD_KERNELS", "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(KernelError, match="no Triton for cpu"):
        choose_path(CPU, torch.float32)
