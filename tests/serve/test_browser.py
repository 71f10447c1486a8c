"""The page in a real browser: upload, masks, thresholds, downloads, refusals."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mfd.serve import make_app
from tests.builders.browser import opened
from tests.headtrain.inference.test_formats import Known
from tests.serve.hostile import uploads

uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra `serve`)")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(make_app(Known()), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Any]:
    with opened(address) as found:
        yield found


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("photo") / "street <b>.png"
    Image.fromarray(np.full((90, 120, 3), 48, np.uint8)).save(path)
    return path


def upload(page: Any, path: Path) -> None:
    page.locator("#file").set_input_files(path)
    page.locator("#drop:not(.busy)").wait_for(state="attached")


def test_masks_are_shown_moved_and_downloaded(page: Any, photo: Path, tmp_path: Path) -> None:
    upload(page, photo)
    assert page.locator("#status").inner_text().startswith("3 masks shown, 0 below")
    assert page.faults == []
    page.locator("#names").uncheck()

    def picture() -> np.ndarray:
        with page.expect_download() as waited:
            page.locator("#picture").click()
        assert waited.value.suggested_filename.endswith(".masks.png")
        waited.value.save_as(tmp_path / "seen.png")
        return np.asarray(Image.open(tmp_path / "seen.png").convert("RGB")).astype(int)

    first, second, _ = Known().found(Image.open(photo))
    changed = np.abs(picture() - 48).max(-1) > 20
    assert changed.shape == (90, 120)
    masked = first.mask | second.mask
    assert changed[masked].mean() > 0.99
    assert not changed[~ndimage.binary_dilation(masked, iterations=3)].any()  # lines have a width

    page.locator("#score").fill("0.8")
    assert page.locator("#status").inner_text().startswith("1 mask shown, 2 below")
    only = np.abs(picture() - 48).max(-1) > 20
    assert only.sum() < changed.sum()
    assert only[first.mask].mean() > 0.99
    with page.expect_download() as waited:
        page.locator("#json").click()
    waited.value.save_as(tmp_path / "seen.json")
    (entry,) = json.loads((tmp_path / "seen.json").read_text())
    assert entry == {"image_id": 0, "file_name": "street <b>", **first.to_dict()}
    assert page.faults == []


def test_page_fits_a_phone(page: Any, photo: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 800})


def test_hostile_uploads_are_refused_and_the_page_goes_on(
    page: Any, address: str, photo: Path, tmp_path: Path
) -> None:
    page.goto(address)
    for number, (name, content) in enumerate(uploads()):
        path = tmp_path / f"{number}.png"
        path.write_bytes(content)
        upload(page, path)
        assert page.locator("#status.bad").inner_text(), name
        assert page.locator("#panel").is_hidden(), name
    faults = [text for text in page.faults if "status of 422" not in text]
    assert faults == []
    upload(page, photo)
    assert "masks shown" in page.locator("#status").inner_text()
