"""The documentation's code runs, its links lead somewhere, and its commands exist."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.cache import decode_maps
from mfd.cli import VERBS
from mfd.detectors import C1Source, PendingC1, detect, load_detector
from mfd.headtrain import MaskHead, find_preset
from mfd.images import LoadedImage
from tests.builders import scenes
from tests.builders.runs import make_store
from tests.test_api import Tiny, save_head

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


def blocks(page: str, language: str = "python") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("dtype", ["float16", "int8", "int4", "int3", "coarse"])
def test_store_is_read_without_mfd_as_the_page_says(dtype: str, tmp_path: Path) -> None:
    store = make_store(tmp_path, dtype=dtype)
    code = "\n".join(blocks("docs/store-format.md"))
    assert "mfd" not in code
    found: dict[str, object] = {}
    exec(code.replace("stores/NAME", str(store.path)), found)
    expected = store[3]
    assert np.array_equal(found["boxes"], expected.boxes.numpy())  # type: ignore[arg-type]
    assert np.array_equal(found["queries"], expected.queries.numpy())  # type: ignore[arg-type]
    maps = zip(found["maps"], decoded(expected), strict=True)  # type: ignore[call-overload]
    assert all(np.allclose(ours, theirs) for ours, theirs in maps)


def decoded(features: object) -> list[np.ndarray]:
    levels = []
    for number, level in enumerate(features.memory):  # type: ignore[attr-defined]
        constants = {k: v[number] for k, v in features.memory_constants.items()}  # type: ignore[attr-defined]
        levels.append(decode_maps(level, constants).float().numpy())
    return levels


def test_page_names_every_array_of_a_store(tmp_path: Path) -> None:
    page = (ROOT / "docs/store-format.md").read_text(encoding="utf-8")
    store = make_store(tmp_path, dtype="int4")
    arrays = {
        str(path.parent.relative_to(store.path))
        for path in store.path.rglob("zarr.json")
        if '"array"' in path.read_text()
    }
    assert {name for name in arrays if f"`{name}`" not in page} <= {"_units"}


def test_custom_detector_of_the_page_gives_what_its_model_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in zip(
        ("my_detector", "your_model"), blocks("docs/custom-detector.md"), strict=True
    ):
        (tmp_path / f"{name}.py").write_text(code)
    import your_model  # type: ignore[import-not-found]

    model = your_model.YourModel().eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    name = f"{tmp_path}/my_detector.py:detector"
    detector = load_detector(name, tmp_path / "w.pth")
    assert load_detector(name).spec == detector.spec  # else stores would not be found again
    image = LoadedImage(torch.randn(3, 48, 80), (96, 160))  # no padding at stride 16
    (found,) = detect(detector, [image], [1])
    with torch.no_grad():
        wanted = model(image.pixels[None], None)
        c1 = model.stage_1(image.pixels[None])
    assert PendingC1.of([C1Source(detector, image)]).compute()[0].allclose(found.c1, atol=1e-6)
    assert found.c1.allclose(c1[0].permute(1, 2, 0), atol=1e-6)
    for name in ("queries", "boxes", "logits"):
        assert getattr(found, name).allclose(wanted[name][0], atol=1e-6)
    for level, own in zip(found.memory, wanted["maps"], strict=True):
        assert level.allclose(own[0].permute(1, 2, 0), atol=1e-6)


def test_code_of_the_page_on_prediction_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_head(tmp_path / "runs/paper-1", MaskHead(scenes.CONFIG, scenes.SPEC), scenes.NAMES)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (83, 61), "red").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mfd.api.load_detector", lambda *_, **__: Tiny())
    found: dict[str, object] = {}
    exec("\n".join(blocks("docs/predict.md")), found)
    listed = json.loads(found["text"])  # type: ignore[arg-type]
    assert len(listed) == len(found["outlines"]) > 0  # type: ignore[arg-type]


def test_code_of_the_page_on_kernels_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MultiScaleDeformableAttention", None)  # undone afterwards
    found: dict[str, torch.Tensor] = {}
    exec("\n".join(blocks("docs/kernels.md")), found)
    assert found["read"].shape == (2, 100, 8, 32)
    assert found["cells"].shape == (1, 14, 14, 256)
    assert found["grid"].shape == (2, 256, 7, 5)
    import MultiScaleDeformableAttention  # type: ignore[import-not-found]

    starts = torch.tensor([0, 4800])
    arguments = (found[name] for name in ("value", "shapes", "locations", "weights"))
    value, shapes, locations, weights = arguments
    read = MultiScaleDeformableAttention.ms_deform_attn_forward(
        value, shapes, starts, locations, weights, 64
    )
    assert torch.equal(read, found["read"].flatten(2))


def test_links_lead_to_files() -> None:
    missing = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
        and not (page.parent / target).with_suffix(".ipynb").exists()  # made into a page
    ]
    assert not missing, "\n".join(missing)


def test_commands_of_the_pages_exist() -> None:
    named = {
        (page.name, verb)
        for page in PAGES
        for verb in re.findall(
            r"(?:^ +|`)mfd ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), re.M
        )
    }
    assert named
    assert {pair for pair in named if pair[1] not in (*VERBS, "cache")} == set()


def test_presets_of_the_table_exist_with_the_papers_figures() -> None:
    page = (ROOT / "docs/paper-tables.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]*\| `([a-z0-9-]+)` \| ([0-9.]+) \|", page, re.MULTILINE)
    assert len(rows) > 10
    assert {name: find_preset(name).paper_ap for name, _ in rows} == {
        name: float(ap) for name, ap in rows
    }


def test_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra `docs`)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "store-format" / "index.html").exists()
    assert "Masks for your detector" in (tmp_path / "notebook" / "index.html").read_text()


def test_batch_scripts_of_the_page_start_what_they_say(tmp_path: Path) -> None:
    """Run by bash as SLURM does, with programs in the place of the cluster's that say how."""
    for name in ("srun", "mfd"):
        said = 'echo "$@"' if name == "srun" else "false"
        (tmp_path / name).write_text(f"#!/bin/bash\n{said}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "scontrol").write_text("#!/bin/bash\nprintf 'node7\\nnode8\\n'\n")
    (tmp_path / "scontrol").chmod(0o755)
    told = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_CPUS_PER_TASK": "8"}
    told |= {"SLURM_NNODES": "2", "SLURM_JOB_ID": "99", "SLURM_JOB_NODELIST": "node[7-8]"}
    environment = {**os.environ, **told, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def started(script: str) -> list[str]:
        command = ["bash", "-eu", "-c", script]
        found = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return found.stdout.splitlines()

    array, training = blocks("docs/clusters.md", "bash")
    assert started(array) == [
        f"mfd extract --split {split} --workers 8 --part 3/8" for split in ("train", "val")
    ]
    rendezvous = "--rdzv-backend c10d --rdzv-endpoint node7:29500 --rdzv-id 99"
    launch = f"torchrun --nnodes 2 --nproc-per-node 4 {rendezvous} -m -- mfd"
    assert started(training) == [
        f"{launch} train-head --run paper-a", f"{launch} evaluate paper-a"
    ]  # fmt: skip
    (tmp_path / "runs/paper-a").mkdir(parents=True)
    (tmp_path / "runs/paper-a/config.json").touch()
    assert started(training)[0] == f"{launch} train-head --run paper-a --resume"
