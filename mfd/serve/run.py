"""The page at an address of this machine, until someone stops it."""

import ipaddress
import socket
from collections.abc import Callable

from mfd.errors import ConfigError
from mfd.headtrain import Predictor


def serve(
    predictor: Predictor, host: str, port: int, min_score: float, say: Callable[[str], object]
) -> None:
    """Answer until Ctrl-C, SIGTERM or SIGHUP.

    Args:
        host: address to listen on; only 127.0.0.1 and ::1 keep other machines out.
        port: 0 is a free one.
        min_score: as in `make_app`.
        say: is told the address.

    Raises:
        ConfigError: the extra `serve` is not installed, or the address cannot be had.
    """
    try:
        import uvicorn

        from mfd.serve.app import make_app
    except ImportError as error:
        raise ConfigError(
            "the page needs starlette and uvicorn, which are not installed; "
            "pip install 'mfd[serve]'"
        ) from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{host} port {port} cannot be had ({error.strerror}); give another --host or --port"
        ) from error
    here = is_loopback(host)
    hosts = frozenset({"127.0.0.1", "localhost", "::1", host}) if here else None
    app = make_app(predictor, min_score=min_score, hosts=hosts)
    shown = f"[{host}]" if ":" in host else host
    say(f"http://{shown}:{listening.getsockname()[1]} shows the page; Ctrl-C ends it")
    if not here:
        say("everyone who reaches this machine can use it: there is no password")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, limit_concurrency=64, timeout_keep_alive=5,
        lifespan="off", server_header=False,
    )  # fmt: skip
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
