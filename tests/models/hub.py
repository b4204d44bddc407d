"""A model hub on this machine: the parts of Hugging Face's and ModelScope's HTTP interfaces that their clients use."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "a" * 40
LARGE = 1024
"""Files from this size are large ones, which the hub names by SHA-256; the others by git's digest."""


@dataclass
class Hub:
    """What the hub has. `breaks_after` cuts the next answer with a large file there, `lacks` are files that it can't
    give, `sends` what it sends instead; `asked` are names and ranges asked for."""

    files: dict[str, bytes]
    url: str = ""
    breaks_after: int | None = None
    lacks: set[str] = field(default_factory=set)
    sends: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def modelscope_files(self) -> dict:
        files = [
            {"Path": name, "Name": name, "Type": "blob", "Size": len(one), "Sha256": hashlib.sha256(one).hexdigest()}
            for name, one in self.files.items()
        ]
        return {"Code": 200, "Success": True, "Data": {"Files": files}}

    def tree(self) -> list[dict]:
        found = []
        for name, content in self.files.items():
            one = {"type": "file", "path": name, "size": len(content), "oid": git_digest(content)}
            if len(content) >= LARGE:
                one["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}
            found.append(one)
        return found


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if found := re.fullmatch(r"/api/models/tiny/model/(revision|tree)/(main|v1|a{40})", path):
                told = {"id": "tiny/model", "sha": COMMIT, "siblings": []} if found[1] == "revision" else hub.tree()
                self.send(200, json.dumps(told).encode(), {"content-type": "application/json"}, body)
            elif (found := re.fullmatch(r"/tiny/model/resolve/[^/]+/(.+)", path)) and found[1] not in hub.lacks:
                self.file(found[1], body)
            elif path == "/api/v1/models/tiny/model/repo/files":
                self.send(200, json.dumps(hub.modelscope_files()).encode(), {"content-type": "application/json"}, body)
            elif path == "/api/v1/models/tiny/model/repo":
                self.file(parse_qs(urlsplit(self.path).query)["FilePath"][0], body)
            else:
                code = "RevisionNotFound" if path.startswith("/api/models/tiny/model/") else "RepoNotFound"
                code = "EntryNotFound" if "/resolve/" in path else code
                self.send(404, b"{}", {"x-error-code": code}, body)

        def file(self, name: str, body: bool) -> None:
            content = hub.files[name]
            large = len(content) >= LARGE
            etag = hashlib.sha256(content).hexdigest() if large else git_digest(content)
            headers = {"etag": f'"{etag}"', "x-repo-commit": COMMIT, "accept-ranges": "bytes"}
            content, status = hub.sends.get(name, content), 200
            if body:
                hub.asked.append((name, self.headers.get("range")))
            if body and (span := re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")):
                begin = int(span[1])
                headers["content-range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                content, status = content[begin:], 206
            cut = hub.breaks_after if body and large else None
            if cut is not None:
                hub.breaks_after = None
            self.send(status, content, headers, body, cut)

        def send(self, status: int, content: bytes, headers: dict, body: bool, cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in (headers | {"content-length": str(len(content)), "connection": "close"}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content[:cut])
            self.close_connection = True

    return Handler
