"""Versions, devices and the settings file."""

import platform
from pathlib import Path

import torch

import mfd
from mfd.config import FILE_NAME
from mfd.doctor.report import Report
from mfd.kernels import kernel_report


def examine_environment(report: Report) -> None:
    """What runs here, and by which kernels."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    report.say(f"mfd {mfd.__version__}, {versions}")
    devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    for device in devices or [torch.device("cpu")]:
        report.say(kernel_report(device))
    if not Path(FILE_NAME).exists():
        report.say(f"no {FILE_NAME} in {Path().absolute()}, so defaults and flags count")
