"""A Hub on this machine: repositories with commits and branches, answered for as the Hub's API answers its clients."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    """A repository: commits with all their files, and the branches that point at them."""

    commits: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    gated: bool = False
    private: bool = False

    def commit(self, revision: str) -> str | None:
        found = self.refs.get(revision, revision)
        return found if found in self.commits else None


@dataclass
class Hub:
    """The repositories, the token that opens the gated ones, every request that came, and the server."""

    repos: dict[str, Repo]
    port: int
    token: str = "hf_right"
    requests: list[str] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)
    """What came by Git LFS, by SHA-256."""
    server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Bound", (Handler,), {"hub": self}))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


ROUTE = re.compile(
    r"^/(?P<api>api/)?(?P<kind>datasets/|models/)?(?P<repo>[^/]+/[^/]+)"
    r"(?:/(?P<verb>revision|tree|paths-info|resolve)/(?P<revision>[^/]+)(?:/(?P<path>.*))?)?$"
)


WRITES = re.compile(r"^/api/repos/create$|^/api/validate-yaml$|^/lfs/|/lfs/objects/batch$|/(?P<verb>preupload|commit)/")


def mode(path: str) -> str:
    """How the Hub takes a file, by the .gitattributes that it gives every repository."""
    return "lfs" if path.endswith((".safetensors", ".parquet")) else "regular"


class Handler(BaseHTTPRequestHandler):
    """The part of the Hub's API that its clients ask when they load a data set or look at a model."""

    hub: Hub

    def do_HEAD(self) -> None:
        self.respond()

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_PUT(self) -> None:
        self.respond()

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if WRITES.search(path):
            return self.write(path, body)
        found = ROUTE.match(path)
        repo = self.hub.repos.get(f"{found['kind'] or 'models/'}{found['repo']}") if found else None
        if found is None or repo is None:
            return self.refuse(401, "RepoNotFound")
        sha = repo.commit(found["revision"] or "main")
        if sha is None:
            return self.refuse(404, "RevisionNotFound")
        if repo.gated and found["verb"] == "resolve" and self.headers["Authorization"] != f"Bearer {self.hub.token}":
            return self.refuse(401, "GatedRepo")
        files = repo.commits[sha]
        if found["verb"] == "resolve":
            return self.file(files.get(found["path"]), sha)
        if found["verb"] == "tree":
            recursive = "recursive=true" in urlsplit(self.path).query.lower()
            return self.json(listing(files, found["path"] or "", recursive))
        if found["verb"] == "paths-info":
            wanted = asked_for(body, self.headers.get("Content-Type", ""))
            return self.json([entry(name, data) for name, data in files.items() if name in wanted])
        siblings = [{"rfilename": name} for name in files]
        about = {"id": found["repo"], "sha": sha, "siblings": siblings, "private": repo.private, "tags": []}
        return self.json({**about, "gated": "manual" if repo.gated else False, "downloads": 0, "disabled": False})

    def write(self, path: str, body: bytes) -> None:
        """What a client asks of the Hub to send a folder: a repository, how each file goes, LFS, one commit."""
        if path.startswith("/lfs/"):  # the address is the permission, as with storage behind the Hub
            self.hub.large[path.removeprefix("/lfs/")] = body
            return self.json({})
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if self.headers["Authorization"] != f"Bearer {self.hub.token}":
            return self.refuse(403, "Forbidden")
        rows = [json.loads(line) for line in body.splitlines() if line]
        if path == "/api/repos/create":
            about = rows[0]
            private = about.get("private") or about.get("visibility") == "private"
            name = f"{about['organization']}/{about['name']}"
            self.hub.repos[f"{about.get('type') or 'model'}s/{name}"] = Repo(
                {"0" * 40: {}}, {"main": "0" * 40}, private=private
            )
            return self.json({"url": f"http://127.0.0.1:{self.hub.port}/{name}", "id": name, "name": name})
        if path.endswith("/lfs/objects/batch"):
            here = f"http://127.0.0.1:{self.hub.port}/lfs/"
            objects = [{**one, "actions": {"upload": {"href": here + one["oid"]}}} for one in rows[0]["objects"]]
            return self.json({"transfer": "basic", "objects": objects})
        found = WRITES.search(path)
        name = path.removeprefix("/api/").partition(f"/{found['verb']}/")[0]
        repo = self.hub.repos[name]
        if found["verb"] == "preupload":
            modes = [
                {"path": one["path"], "shouldIgnore": False, "uploadMode": mode(one["path"])}
                for one in rows[0]["files"]
            ]
            return self.json({"files": modes})
        files = dict(repo.commits[repo.refs["main"]])
        for row in rows:
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        sha = hashlib.sha1(body).hexdigest()
        repo.commits[sha] = files
        repo.refs["main"] = sha
        here = f"http://127.0.0.1:{self.hub.port}/{name.removeprefix('models/')}"
        return self.json({"commitUrl": f"{here}/commit/{sha}", "commitOid": sha})

    def file(self, data: bytes | None, sha: str) -> None:
        if data is None:
            return self.refuse(404, "EntryNotFound")
        etag = hashlib.sha1(data).hexdigest()
        self.answer(200, data, {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Content-Type": "application/octet-stream"})

    def json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code, "Content-Type": "application/json"})

    def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def listing(files: dict[str, bytes], folder: str, recursive: bool) -> list[dict[str, Any]]:
    """What lies in a folder: its files, and its folders or all that is in them."""
    inside = f"{folder}/" if folder else ""
    found = {}
    for name, data in files.items():
        if name.startswith(inside):
            first, below, _ = name[len(inside) :].partition("/")
            if below:
                found[inside + first] = {"type": "directory", "path": inside + first, "size": 0, "oid": "0" * 40}
            if recursive or not below:
                found[name] = entry(name, data)
    return list(found.values())


def entry(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


def asked_for(body: bytes, kind: str) -> set[str]:
    if "json" in kind:
        return set(json.loads(body)["paths"])
    return {unquote(pair.partition("=")[2].replace("+", " ")) for pair in body.decode().split("&")}
