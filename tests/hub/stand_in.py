"""A stand-in of the Hub's HTTP interface on this machine: repositories, commits, large files, downloads."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = (".safetensors", ".h5", ".png", ".pt")
TOKEN = "hf_of_the_owner"


class Hub(ThreadingHTTPServer):
    """The server and its content."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        """Repository -> revision or commit -> path -> content."""
        self.large: dict[str, bytes] = {}
        """SHA-256 -> content of what was uploaded."""
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Add files to the branch main; return the commit."""
        revisions = self.repositories.setdefault(repository, {"main": {}})
        content = {**revisions["main"], **files}
        digest = hashlib.sha1(repr(sorted(content.items())).encode()).hexdigest()
        revisions["main"] = revisions[digest] = content
        return digest


@contextmanager
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def do_PUT(self) -> None:
        content = self._body()
        self.server.large[self.path.rpartition("/")[2]] = content
        self._answer(200, b"")

    def do_POST(self) -> None:
        self.server.requests.append(f"POST {self.path}")
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and "/lfs/" not in self.path:
            return self._answer(401, b"{}", {"X-Error-Message": "Invalid credentials"})
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/api/models/(.+?/.+?)/preupload/.+", self.path):
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular"} for f in files
            ]
            return self._json({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [self._upload_of(item) for item in json.loads(body)["objects"]]
            return self._json({"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/(.+?/.+?)/commit/(.+)", self.path):
            return self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        return self._answer(404, b"{}")

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization') or 'owner'}/{wanted['name']}"
        answer = {"url": f"{self.server.url}/{name}", "name": name, "id": name}
        known = name in self.server.repositories
        self.server.repositories.setdefault(name, {"main": {}})
        self._json(answer, status=409 if known else 200)

    def _upload_of(self, item: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.server.url}/large/{item['oid']}"
        return {**item, "actions": {"upload": {"href": href}}}

    def _commit(self, repository: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        digest = self.server.commit(repository, files)
        url = f"{self.server.url}/{repository}/commit/{digest}"
        self._json({"success": True, "commitOid": digest, "commitUrl": url, "hookOutput": ""})

    def _serve(self, with_body: bool) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        revisions = self.server.repositories.get(match[1]) if match else None
        if match is None or revisions is None:
            return self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        if match[2] not in revisions:
            return self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        content = revisions[match[2]].get(match[3])
        commit = next(key for key, files in reversed(revisions.items()) if files is revisions[match[2]])
        if content is None:
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        etag = hashlib.sha256(content).hexdigest()
        if not match[3].endswith(LARGE):
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Content-Type": "application/octet-stream"}
        return self._answer(200, content, headers, with_body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, content: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, with_body: bool = True) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)
