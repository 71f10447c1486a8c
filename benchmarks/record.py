"""What every result file says: device, versions, date; and errors relative to float64."""

import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PACKAGES = ("torch", "triton", "numpy", "transformers", "deformops", "torchvision")


def environment(device: str) -> dict[str, Any]:
    """Device, versions, commit and date."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions,
        "cuda": torch.version.cuda,
        "commit": commit or None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def processor() -> str:
    """The name the system gives its processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def relative_error(found: Tensor, exact: Tensor) -> float:
    """||found - exact|| / ||exact||; NaN where anything found is not finite."""
    found, exact = found.detach().double(), exact.detach().double()
    return float((found - exact).norm() / exact.norm())


def require(name: str, found: Sequence[Tensor], exact: Sequence[Tensor], limits: Sequence[float]):
    """The errors; stops the program if one is too large, because a wrong kernel is never timed."""
    errors = [relative_error(*pair) for pair in zip(found, exact, strict=True)]
    for error, limit in zip(errors, limits, strict=True):
        if not error <= limit:
            raise SystemExit(f"{name}: relative error {error:.1e} exceeds {limit:.1e}; not timed")
    return errors


def write(path: Path, content: dict[str, Any]) -> None:
    """One JSON file, folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
