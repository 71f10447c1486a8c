"""A server on this machine that speaks the calls of the Hugging Face Hub, for one repository."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

SHA = "1f" * 20
TOKEN = "hf_local"


class Hub:
    """What the server holds.

    Attributes:
        files: of the repository, by path.
        calls: every request as "METHOD path".
        private: what the repository was made with; None: it was not made.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.private: bool | None = None
        self._objects: dict[str, bytes] = {}
        self.address = ""

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        """Status and content of a request; content is JSON, or bytes with a digest."""
        self.calls.append(f"{method} {path}")
        if method in ("POST", "PUT") and token != f"Bearer {TOKEN}" and "/objects/" not in path:
            return 401, {"error": "Invalid credentials"}
        if path == "/api/repos/create":
            wanted = json.loads(body)
            self.private = wanted.get("private") or wanted.get("visibility") == "private"
            return 200, {"url": f"{self.address}/ada/masks", "name": "ada/masks"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.startswith("/api/models/ada/masks/preupload/"):
            return 200, {"files": [_mode(file) for file in json.loads(body)["files"]]}
        if path == "/ada/masks.git/info/lfs/objects/batch":
            found = [self._upload_of(each) for each in json.loads(body)["objects"]]
            return 200, {"transfer": "basic", "objects": found}
        if path.startswith("/objects/"):
            self._objects[path.removeprefix("/objects/")] = body
            return 200, {}
        if path.startswith("/api/models/ada/masks/commit/"):
            for line in body.splitlines():
                self._commit(json.loads(line))
            page = f"{self.address}/ada/masks/commit/{SHA}"
            return 200, {"success": True, "commitOid": SHA, "commitUrl": page}
        if path.startswith("/api/models/ada/masks"):
            if path.partition("/tree/")[1]:
                return 200, [
                    {"type": "file", "path": name, "size": len(content), "oid": SHA}
                    for name, content in self.files.items()
                ]
            names = [{"rfilename": name} for name in self.files]
            return 200, {"id": "ada/masks", "sha": SHA, "siblings": names, "private": False}
        name = path.removeprefix(f"/ada/masks/resolve/{SHA}/")
        return (200, self.files[name]) if name in self.files else (404, {"error": "not found"})

    def _upload_of(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.address}/objects/{wanted['oid']}"}
        return {**wanted, "actions": {"upload": upload}}

    def _commit(self, line: dict[str, Any]) -> None:
        value = line["value"]
        if line["key"] == "file":
            self.files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            content = self._objects[value["oid"]]
            assert hashlib.sha256(content).hexdigest() == value["oid"]
            self.files[value["path"]] = content


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub that listens while the block runs."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            token = self.headers.get("Authorization", "")
            status, content = hub.answer(self.command, path, body, token)
            is_file = isinstance(content, bytes)
            sent = content if is_file else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if is_file else "application/json")
            self.send_header("Content-Length", str(len(sent)))
            if is_file:
                self.send_header("ETag", f'"{hashlib.sha256(sent).hexdigest()}"')
                self.send_header("X-Repo-Commit", SHA)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(sent)

        do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
