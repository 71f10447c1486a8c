"""The page and its one service, as a Starlette application that keeps nothing."""

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mfd.errors import DataError
from mfd.headtrain import Predictor, Shown
from mfd.images import read_header, read_rgb
from mfd.serve.guard import Guard

_HERE = Path(__file__).parent
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_UPLOAD = Path("the upload")  # what errors call it


@dataclass(frozen=True)
class Limits:
    """What an upload may be.

    Attributes:
        megabytes: of the file.
        megapixels: of the image.
        seconds: until the file must have come.
        waiting: requests that wait for the detector; more are sent away.
    """

    megabytes: float = 32.0
    megapixels: float = 40.0
    seconds: float = 60.0
    waiting: int = 8


class _RefusedError(Exception):
    """An upload that is not looked at, with its status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def make_app(
    predictor: Predictor,
    *,
    min_score: float = 0.05,
    limits: Limits = Limits(),
    hosts: frozenset[str] | None = frozenset({"127.0.0.1", "localhost", "::1"}),
) -> Starlette:
    """The application.

    `POST /predict` takes an image file as its body and answers with the image's size and its
    instances, as `Prediction.to_dict` has them and with their `outlines`; what is refused has an
    `error` of one line. One image is predicted at a time. Nothing of an image is kept.

    Args:
        min_score: the least class score that is answered; the page's sliders begin there.
        hosts: names by which the page may be asked for, so that no other site can have a name of
            its own point here; None: any.
    """
    busy = anyio.CapacityLimiter(1)
    waiting = 0

    async def predict(request: Request) -> Response:
        nonlocal waiting
        if waiting >= limits.waiting:
            return _refusal(503, "too many images are waiting; try again in a moment")
        waiting += 1
        try:
            content = await _body(request, limits)
            work = functools.partial(_answer, predictor, content, min_score, limits)
            answer = await anyio.to_thread.run_sync(work, limiter=busy)
        except _RefusedError as refused:
            return _refusal(refused.status, str(refused))
        except DataError as error:
            return _refusal(422, str(error))
        finally:
            waiting -= 1
        return JSONResponse(answer)

    files = [Route(path, _file(*content)) for path, content in _FILES.items()]
    return Starlette(
        routes=[*files, Route("/predict", predict, methods=["POST"])],
        middleware=[Middleware(Guard, hosts=hosts)],
    )


def _file(name: str, media_type: str) -> Callable[[Request], Response]:
    content = (_HERE / name).read_bytes()

    def answer(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


def _refusal(status: int, text: str) -> JSONResponse:
    # what is left of a large upload is not waited for
    return JSONResponse({"error": text}, status, {"Connection": "close"})


async def _body(request: Request, limits: Limits) -> bytes:
    """The whole body, as far as it keeps within the limits.

    Raises:
        _RefusedError: it is too large, too slow or cut off.
    """
    most = int(limits.megabytes * 1e6)
    too_large = _RefusedError(
        413, f"the upload has more than {limits.megabytes:g} MB; make it smaller"
    )
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:19]) > most:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for piece in request.stream():
                content += piece
                if len(content) > most:
                    raise too_large
    except TimeoutError:
        raise _RefusedError(
            408, f"the upload took more than {limits.seconds:g} s; try again"
        ) from None
    except ClientDisconnect:
        raise _RefusedError(400, "the upload was cut off; try again") from None
    return bytes(content)


def _answer(
    predictor: Predictor, content: bytes, min_score: float, limits: Limits
) -> dict[str, Any]:
    """The instances of one image file.

    Raises:
        DataError: it is no image, or too large.
    """
    height, width = read_header(_UPLOAD, content).size_hw
    if height * width > limits.megapixels * 1e6:
        raise DataError(
            f"the image has {width} x {height} pixels, expected at most {limits.megapixels:g} "
            "megapixels; make it smaller"
        )
    rgb = read_rgb(_UPLOAD, upright=True, content=content)
    started = time.monotonic()
    (found,) = predictor([rgb], Shown(min_score=min_score))
    return {
        "width": rgb.width,
        "height": rgb.height,
        "milliseconds": round(1000 * (time.monotonic() - started)),
        "instances": [{**each.to_dict(), "outlines": each.polygon()} for each in found],
    }
