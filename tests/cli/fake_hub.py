"""A Hugging Face hub on this machine: the endpoints that a download uses, on a real socket, with faults.

Serves one repository with named revisions. `drop_after` bytes of a file are sent, then the connection is cut,
`drops` times; every GET of a file is noted with its Range header.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REPO = "someone/arm-policy"
COMMITS = {"main": "a" * 40, "v1": "b" * 40}


@dataclass
class FakeHub:
    """What the server holds and does. `files` maps a commit to its files."""

    files: dict[str, dict[str, bytes]]
    gated: bool = False
    drop_file: str = ""
    drop_after: int = 0
    drops: int = 0
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    endpoint: str = ""

    def gets(self, name: str) -> list[str | None]:
        """The Range headers of the GETs of one file, in order."""
        return [r for method, path, r in self.requests if method == "GET" and path.endswith(f"/{name}")]


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Runs the hub on a free port of this machine."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the test looks at `requests`."""

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        path = path.replace("/api/datasets/", "/api/models/").removeprefix("/datasets")  # the same under another name
        for prefix, serve_one in (
            (f"/api/models/{REPO}/revision/", self._info),
            (f"/api/models/{REPO}/tree/", self._tree),
            (f"/{REPO}/resolve/", self._file),
        ):
            if path.startswith(prefix):
                if self.hub.gated:
                    return self._error(403, "GatedRepo")
                revision, _, rest = path[len(prefix) :].partition("/")
                commit = COMMITS.get(revision, revision)
                if commit not in self.hub.files:
                    return self._error(404, "RevisionNotFound")
                return serve_one(commit, rest, body)
        return self._error(404, "RepoNotFound")

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", True, {"X-Error-Code": code})

    def _info(self, commit: str, rest: str, body: bool) -> None:
        siblings = [{"rfilename": name} for name in self.hub.files[commit]]
        self._json({"id": REPO, "modelId": REPO, "sha": commit, "siblings": siblings, "tags": []})

    def _tree(self, commit: str, rest: str, body: bool) -> None:
        self._json(
            [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in self.hub.files[commit].items()
            ]
        )

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), True, {"Content-Type": "application/json"})

    def _file(self, commit: str, name: str, body: bool) -> None:
        data = self.hub.files[commit].get(name)
        if data is None:
            return self._error(404, "EntryNotFound")
        headers = {
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        rest = data[start:]
        if body and self.hub.drops and name == self.hub.drop_file:
            self.hub.drops -= 1
            self._send(206 if asked else 200, rest, False, headers)
            self.wfile.write(rest[: self.hub.drop_after])
            self.wfile.flush()
            self.close_connection = True
            return None
        return self._send(206 if asked else 200, rest, body, headers)

    def _send(self, status: int, data: bytes, body: bool, headers: dict[str, str]) -> None:
        # One request a connection: a pooled one would outlive the server and hide that it is gone.
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data)), "Connection": "close"}.items():
            self.send_header(key, value)
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(data)
