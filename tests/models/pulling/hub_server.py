"""A small model hub on this machine: the parts of its HTTP API that its client asks for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1 << 16
"""Files from this size on are kept by SHA-256, as with Git LFS."""


@dataclass
class Hub:
    """What the hub holds, and how it misbehaves."""

    files: dict[str, bytes]
    repo: str = "org/model"
    gated_to: str | None = None
    """The token that may read the files."""
    cut_after: int | None = None
    """Bytes after which the next answer with a file breaks off."""
    swapped: dict[str, bytes] = field(default_factory=dict)
    """Files whose bytes are not those that the hub names."""
    broken: int | None = None
    """Status of every answer."""
    stall: threading.Event | None = None
    """Where given, a large file stops half-way until this is set."""
    asked: list[str] = field(default_factory=list)
    """Method, path and range of every request."""
    url: str = ""

    def digest(self, name: str) -> str:
        data = self.files[name]
        if len(data) >= LARGE:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()

    def sent(self, name: str) -> list[str]:
        """Ranges in which a file was asked for."""
        return [line.split()[2] for line in self.asked if line.startswith("GET") and name in line]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Answer at `hub.url` while the body runs."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(0.02))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that were killed."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path} {self.headers.get('Range', 'all')}")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if hub.broken is not None:
            self._refuse(hub.broken, "", "broken")
        elif path.startswith("/api/models/"):
            self._about(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            repo, _, rest = path[1:].partition("/resolve/")
            revision, _, name = rest.partition("/")
            if repo != hub.repo:
                self._refuse(401, "RepoNotFound", "Repository not found")
            elif hub.gated_to is not None and token != hub.gated_to:
                self._refuse(403 if token else 401, "GatedRepo", "Access is restricted")
            elif revision not in ("main", COMMIT) or name not in hub.files:
                self._refuse(404, "EntryNotFound", "Entry not found")
            else:
                self._file(name)
        else:
            self._refuse(404, "", "nothing here")

    def _about(self, path: str) -> None:
        hub = self.hub
        repo, _, revision = path.partition("/revision/")
        if repo != hub.repo:
            self._refuse(401, "RepoNotFound", "Invalid username or password.")
        elif revision not in ("", "main", COMMIT):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            about = {
                "_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "private": False,
                "gated": "manual" if hub.gated_to else False, "tags": [],
                "cardData": {"license": "apache-2.0"},
                "siblings": [self._sibling(name) for name in hub.files],
            }  # fmt: skip
            self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})

    def _sibling(self, name: str) -> dict[str, Any]:
        data = self.hub.files[name]
        pointer = hashlib.sha1(data).hexdigest()
        found = {"rfilename": name, "size": len(data), "blobId": pointer}
        if len(data) >= LARGE:
            sha = self.hub.digest(name)
            return found | {"lfs": {"sha256": sha, "size": len(data), "pointerSize": 134}}
        return found | {"blobId": self.hub.digest(name)}

    def _file(self, name: str) -> None:
        hub, data = self.hub, self.hub.files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hub.digest(name)}"'}
        if len(data) >= LARGE:
            headers |= {"X-Linked-ETag": f'"{hub.digest(name)}"', "X-Linked-Size": str(len(data))}
        data = hub.swapped.get(name, data)
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if start else 200, data[start:], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        hub = self.hub
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if len(body) >= LARGE and hub.stall is not None:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            hub.stall.wait(60)
            body = body[len(body) // 2 :]
        if len(body) >= LARGE and hub.cut_after is not None:
            body, hub.cut_after = body[: hub.cut_after], None
            self.close_connection = True
        self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})


def repository(folder: Path) -> dict[str, bytes]:
    """A repository's files: those of a base, and what nobody should download."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return files | {
        "README.md": b"---\nlicense: apache-2.0\n---\n# A model\n",
        "LICENSE": b"Apache License\n",
        "pytorch_model.bin": b"pickle" * 20_000,
        "modeling_own.py": b"raise SystemExit('run')\n",
        "consolidated.safetensors": b"twice" * 20_000,
        "original/params.json": b"{}",
        ".gitattributes": b"",
    }
