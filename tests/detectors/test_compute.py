"""Which precision a choice comes to on a device."""

import pytest
import torch

from mfd.detectors import precision_on

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("choice", "device", "emulated", "expected"),
    [
        ("auto", CPU, False, "float32"),
        ("auto", GPU, False, "bfloat16"),
        ("auto", GPU, True, "float32"),
        ("float32", GPU, False, "float32"),
        ("float16", GPU, False, "float16"),
        ("bfloat16", CPU, False, "bfloat16"),
    ],
)
def test_auto_is_bfloat16_on_gpus_that_compute_with_it(
    choice: str, device: torch.device, emulated: bool, expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def is_supported(*, including_emulation: bool) -> bool:
        return including_emulation or not emulated

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert precision_on(device, choice) == expected  # type: ignore[arg-type]
