"""Which path a call takes, Triton or PyTorch, and why."""

import importlib.util
import os
from typing import Literal, NamedTuple

import torch

from mfd.errors import KernelError

SETTING = "MFD_KERNELS"  # environment variable: "reference" or "triton"; unset: by device
MIN_CAPABILITY = (8, 0)  # of NVIDIA devices; Triton supports no older one
TRITON_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Choice(NamedTuple):
    """The path of a call and the reason for it."""

    path: Literal["reference", "triton"]
    reason: str


def choose_path(device: torch.device, dtype: torch.dtype) -> Choice:
    """Triton for NVIDIA devices it supports, PyTorch for all others; `MFD_KERNELS` overrides.

    Raises:
        KernelError: if `MFD_KERNELS` is unknown, or asks for Triton where it cannot run.
    """
    setting = os.environ.get(SETTING, "")
    if setting == "reference":
        return Choice("reference", f"{SETTING}=reference")
    if setting not in ("", "triton"):
        raise KernelError(
            f"{SETTING} is {setting!r}; set it to 'reference' or 'triton', or unset it"
        )
    obstacle = _obstacle(device, dtype)
    if setting == "triton":
        if obstacle and not interpreted():
            raise KernelError(f"{SETTING}=triton, but {obstacle}; unset it")
        return Choice("triton", f"{SETTING}=triton")
    if obstacle:
        return Choice("reference", obstacle)
    return Choice("triton", "an NVIDIA device that Triton supports")


def kernel_report(device: torch.device | str) -> str:
    """One line for `mfd doctor`: what runs on a device in float32, and why."""
    path, reason = choose_path(torch.device(device), torch.float32)
    return f"{'Triton kernels' if path == 'triton' else 'PyTorch path'} on {device}: {reason}"


def _obstacle(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why Triton cannot run there, or None."""
    if device.type != "cuda":
        return f"no Triton for {device.type}"
    if torch.version.hip is not None:
        return "an AMD device, on which these kernels were never tested"
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if (found := torch.cuda.get_device_capability(device)) < MIN_CAPABILITY:
        return f"compute capability {found[0]}.{found[1]}, Triton needs 8.0"
    if dtype not in TRITON_DTYPES:
        return f"no kernel for {dtype}"
    return None


def interpreted() -> bool:
    """Whether kernels run through Triton's interpreter, on any device."""
    return os.environ.get("TRITON_INTERPRET") == "1"
