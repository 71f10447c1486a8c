"""The service as programs and other sites meet it."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="starlette is not installed (extra `serve`)")

from starlette.testclient import TestClient

from mfd.errors import ConfigError
from mfd.headtrain import Shown
from mfd.serve import Limits, make_app, serve
from mfd.serve.run import is_loopback
from tests.headtrain.inference.test_formats import Known
from tests.serve.hostile import HOSTILE, saved

TYPE = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(make_app(Known()), base_url="http://127.0.0.1:8000") as opened:
        yield opened


def turned() -> bytes:
    """A photograph that lies on its side and says so."""
    image = Image.fromarray(np.full((48, 70, 3), 32, np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    content = io.BytesIO()
    image.save(content, "JPEG", quality=100, exif=exif)
    return content.getvalue()


def test_answer_is_what_the_predictor_finds_in_the_upright_image(client: TestClient) -> None:
    answer = client.post("/predict", content=turned(), headers=TYPE).json()
    upright = Image.fromarray(np.full((70, 48, 3), 32, np.uint8))
    assert (answer["width"], answer["height"]) == upright.size
    expected = [{**p.to_dict(), "outlines": p.polygon()} for p in Known().found(upright)]
    assert answer["instances"] == expected


def test_service_asks_for_more_than_the_page_shows_at_first() -> None:
    asked: list[Shown] = []

    class Asked(Known):
        def __call__(self, images: Any, *shown: Any, **options: Any) -> Any:
            asked.extend(shown)
            return super().__call__(images)

    with TestClient(make_app(Asked(), min_score=0.125), base_url="http://localhost") as client:
        assert client.post("/predict", content=saved("PNG"), headers=TYPE).status_code == 200
    assert [one.min_score for one in asked] == [0.125]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_upload_is_refused_in_one_line(client: TestClient, name: str) -> None:
    answer = client.post("/predict", content=HOSTILE[name](), headers=TYPE)
    assert answer.status_code == 422
    text = answer.json()["error"]
    assert "\n" not in text
    assert "the upload" in text or "the image has" in text


def test_upload_is_bounded_whether_or_not_its_size_is_announced(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield bytes(1_000_000)

    for content in (bytes(33_000_000), pieces()):
        answer = client.post("/predict", content=content, headers=TYPE)
        assert answer.status_code == 413
        assert "more than 32 MB" in answer.json()["error"]


def test_slow_upload_is_ended() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    app = make_app(Known(), limits=Limits(seconds=0.1))
    headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    asyncio.run(app({**scope, "query_string": b""}, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 408


def test_one_image_is_predicted_at_a_time_and_few_wait() -> None:
    running: list[int] = []
    most = 0

    class Counting(Known):
        def __call__(self, images: Any, *shown: Any, **options: Any) -> Any:
            nonlocal most
            running.append(1)
            most = max(most, len(running))
            found = super().__call__(images)
            running.pop()
            return found

    app = make_app(Counting(), limits=Limits(waiting=3))
    content = saved("PNG")

    async def ask() -> int:
        status = 0
        parts: AsyncIterator[bytes] = body()

        async def receive() -> dict[str, Any]:
            piece = await anext(parts, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        await app({**scope, "query_string": b""}, receive, send)  # type: ignore[arg-type]
        return status

    async def body() -> AsyncIterator[bytes]:
        yield content

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(ask() for _ in range(8)))

    statuses = asyncio.run(all_of_them())
    assert sorted(statuses) == [200] * 3 + [503] * 5
    assert most == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"host": "[::1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "text/plain"},
        {"content-type": ""},
    ],
)
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/predict", content=saved("PNG"), headers={**TYPE, **headers})
    assert answer.status_code == 403
    assert answer.json()["error"]
    if "host" in headers:
        assert client.get("/", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8000"},
        {"host": "[::1]:8000"},
        {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_own_page_and_programs_are_answered(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/predict", content=saved("PNG"), headers={**TYPE, **headers})
    assert answer.status_code == 200


def test_page_may_load_and_call_nothing_but_its_own(client: TestClient) -> None:
    for path in ("/", "/page.js", "/page.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "https://" not in answer.text
    for path in ("/page.html", "/../guard.py", "/%2e%2e/guard.py", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 404
    assert client.get("/predict").status_code == 405


def test_any_name_is_known_where_other_machines_are_let_in() -> None:
    with TestClient(make_app(Known(), hosts=None), base_url="http://gpu7:8000") as client:
        assert client.get("/").status_code == 200


def test_only_loopback_addresses_keep_others_out() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "gpu7", "")))


def test_address_that_is_taken_is_named() -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1 port {port} cannot be had"):
            serve(Known(), "127.0.0.1", port, 0.05, print)
