"""A hub on loopback for whole runs: models and data sets under their real ids, each one commit, from folders."""

import hashlib
import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """`repositories`: (models or datasets, id) -> its folder."""

    def __init__(self, repositories, *arguments):
        self.repositories = repositories
        super().__init__(*arguments)

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        kind, repository, _, _, _ = self.asked()
        paths = [path for path in body.get("paths", []) if (self.repositories[kind, repository] / path).exists()]
        self.answer(200, [self.entry(self.repositories[kind, repository], Path(path)) for path in paths])

    def do_GET(self):
        kind, repository, what, _revision, path = self.asked()
        folder = self.repositories.get((kind, repository))
        if folder is None:
            return self.answer(404, {}, {"X-Error-Code": "RepoNotFound"})
        if what == "resolve":
            return self.file(folder / path)
        if what == "tree":
            inside = sorted(one.relative_to(folder) for one in (folder / path).rglob("*"))
            return self.answer(200, [self.entry(folder, one) for one in inside])
        siblings = [{"rfilename": str(one.relative_to(folder))} for one in folder.rglob("*") if one.is_file()]
        return self.answer(200, {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False})

    def asked(self):
        """Kind, id, what is asked of it, revision and path."""
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        api = parts[0] == "api"
        parts = parts[1:] if api else parts
        kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
        repository, rest = "/".join(parts[:2]), parts[2:]
        return kind, repository, rest[0] if rest else "", rest[1] if len(rest) > 1 else "", "/".join(rest[2:])

    def entry(self, folder, path):
        if (folder / path).is_dir():
            return {"type": "directory", "path": str(path), "oid": str(path)}
        return {"type": "file", "path": str(path), "size": (folder / path).stat().st_size, "oid": str(path)}

    def file(self, path):
        if not path.is_file():
            return self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        content = path.read_bytes()
        tag = hashlib.sha256(content).hexdigest()  # two files of one name are two blobs
        return self.answer(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

    def answer(self, code, body, headers=None):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for name, value in {"Content-Length": str(len(raw)), "Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)


@contextmanager
def served(repositories):
    """Address of a hub that has these."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, repositories))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
