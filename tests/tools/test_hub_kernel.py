"""The kernels as a repository of the Hub: what the Hub's loader asks for, and equal results."""

import ast
import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mfd.kernels import drop_in, ms_deform_attn
from tests.kernels.deform_attn.inputs import make_inputs
from tests.kernels.oracle import DEVICE

ROOT = Path(__file__).parents[2]
LOAD = """
import importlib.util, sys, torch

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mfd", "jaxtyping"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
folder, inputs, results = sys.argv[1:]
place = importlib.util.spec_from_file_location("any_name", folder + "/__init__.py")
kernels = sys.modules["any_name"] = importlib.util.module_from_spec(place)
place.loader.exec_module(kernels)
value, shapes, locations, weights, maps, boxes = torch.load(inputs)
read = kernels.ms_deform_attn(value.requires_grad_(), shapes, locations, weights)
gradient, = torch.autograd.grad(read.sum(), value)
torch.save((read.detach(), gradient, kernels.drop_in.roi_align(maps, boxes, (2, 3))), results)
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "repository"
    subprocess.run([sys.executable, ROOT / "tools" / "hub_kernel.py", folder], check=True)
    return folder


def test_it_computes_the_same_without_mfd_under_any_name(repository: Path, tmp_path: Path) -> None:
    attention = [tensor.detach() for tensor in make_inputs()]
    maps = torch.randn(2, 3, 7, 9, device=DEVICE)
    boxes = torch.tensor([[0, 1, 1, 6, 5], [1, -2, 0.5, 8, 9]], device=DEVICE)
    torch.save((*attention, maps, boxes), tmp_path / "inputs.pt")
    arguments = [repository / "build" / "torch-cpu", tmp_path / "inputs.pt", tmp_path / "found.pt"]
    subprocess.run([sys.executable, "-c", LOAD, *arguments], check=True, cwd=tmp_path)
    read, gradient, cells = torch.load(tmp_path / "found.pt")
    value, *rest = attention
    expected = ms_deform_attn(value.requires_grad_(), *rest)
    assert torch.equal(read, expected)
    assert torch.equal(gradient, torch.autograd.grad(expected.sum(), value)[0])
    assert torch.equal(cells, drop_in.roi_align(maps, boxes, (2, 3)))


def test_it_imports_the_standard_library_torch_triton_and_itself(repository: Path) -> None:
    found = set()
    for path in repository.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).partition(".")[0])
    assert found - set(sys.stdlib_module_names) == {"torch", "triton"}


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_metadata_have_the_digest_of_every_file(repository: Path, backend: str) -> None:
    variant = repository / "build" / f"torch-{backend}"
    metadata = json.loads((variant / "metadata.json").read_text())
    found = {
        str(path.relative_to(variant)): base64.b64encode(
            hashlib.sha256(path.read_bytes()).digest()
        ).decode()
        for path in variant.rglob("*.py")
    }
    assert metadata["digest"] == {"algorithm": "sha256", "files": found}
    assert metadata["backend"]["type"] == backend
    assert f'NAMESPACE = "{metadata["id"]}"' in (variant / "register.py").read_text()
