"""Who may ask: this machine's own page and programs, no other site that is open in a browser."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests of other sites, and tells browsers what the page may do.

    A site whose name is made to point to this machine is known by its `Host`, one that sends
    requests here by `Origin` and `Sec-Fetch-Site`. A form cannot send the type that an upload has.

    Args:
        hosts: names that may be asked for; None: any.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _POLICY.items():
                    headers[name] = value
            await send(message)

        if why := self._refusal(scope["method"], Headers(scope=scope)):
            refused = JSONResponse({"error": why}, 403, {"Connection": "close"})
            await refused(scope, receive, answer)
            return
        await self._app(scope, receive, answer)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return "this page is not known by that name; open the address that mfd serve printed"
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "requests of other sites are refused"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "requests of other sites are refused"
        if headers.get("content-type") != "application/octet-stream":
            return "send the image file as the body, its type application/octet-stream"
        return None


def _name(host: str) -> str | None:
    """The name in a Host header, without its port; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
