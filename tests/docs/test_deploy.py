"""The page about deployment: its code runs."""

import re
from pathlib import Path
from typing import Any

import torch

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


def test_shared_head_of_the_page_comes_back() -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.M
    )
    found: dict[str, Any] = {}
    exec(code, found)
    first, second = (found[name].predictor.head.state_dict() for name in ("model", "same"))
    assert all(torch.equal(first[name], second[name]) for name in first)
