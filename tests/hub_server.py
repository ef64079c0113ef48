"""A server on 127.0.0.1 that answers what ``huggingface_hub`` asks of the Hugging Face Hub to read a dataset (``HfFileSystem``), to
download a model (``snapshot_download``) or to upload a folder (``create_repo``, ``upload_folder``, ``create_tag``).

It serves a folder ``OWNER/NAME/COMMIT/…``: information on a revision, listings page by page, and files by a redirect to a
second address that heeds ranges, as the Hub's object store does. Every commit makes a folder of its own. Endpoints, fields and error codes are those that
huggingface_hub 2.4 reads (``hf_api.dataset_info``, ``_iter_repo_tree_pages``, ``get_paths_info``, ``hf_raise_for_status``, ``_commit_api``, ``lfs``).
Large files come by the LFS protocol, which clients speak where ``HF_HUB_DISABLE_XET`` is set, or within the commit; the Xet protocol is not spoken.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

_WRITE = re.compile(r"/api/(?:datasets|models)/(?P<repo>[^/]+/[^/]+)/(?P<what>preupload|commit|tag)/(?P<branch>[^/]+)")
_LFS = re.compile(r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
_API = re.compile(r"/api/(?:datasets|models)/(?P<repo>[^/]+/[^/]+)/(?P<what>revision|tree|paths-info)/(?P<commit>[^/]+)(?:/(?P<path>.+))?")
_RESOLVE = re.compile(r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<commit>[^/]+)/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class HubServer:
    """What a running server has seen, and how it behaves.

    Attributes:
        endpoint: its address, for ``HF_ENDPOINT``.
        root: what it serves.
        token: the only token that gets an answer; None: everybody does.
        page_entries: entries of one page of a listing (the Hub: 1,000).
        requests: method, path and Range header of each request.
        tokens: the distinct Authorization headers that came; "" where there was none.
        branches: commits by the names of branches.
        faults: statuses that the next requests for file contents are answered with.
        large: names that end so are uploaded by the LFS protocol, others within the commit.
        uploads: sha256 of the files that came by it, in the order of their arrival, as often as they came.
        commits: the paths of each commit.
        tags: commits by repository and tag.
        on_write: called with "put" or "commit" before such a request is answered.
    """

    endpoint: str
    root: Path
    token: str | None = None
    page_entries: int = 1000
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    faults: list[int] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    large: tuple[str, ...] = (".parquet", ".safetensors")
    uploads: list[str] = field(default_factory=list)
    commits: list[list[str]] = field(default_factory=list)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    on_write: Callable[[str], None] = lambda _: None


def _entry(path: Path, root: Path) -> dict[str, Any]:
    name = path.relative_to(root).as_posix()
    oid = hashlib.sha1(name.encode()).hexdigest()
    if path.is_dir():
        return {"type": "directory", "oid": oid, "size": 0, "path": name}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    return {"type": "file", "oid": oid, "size": size, "path": name, "lfs": {"oid": digest, "size": size, "pointerSize": 134}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: HubServer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read ``HubServer.requests``."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, unquote(address.path), self.headers.get("Range", "")))
        token = self.headers.get("Authorization", "")
        self.hub.tokens.add(token)
        if address.path.startswith("/store/"):
            self._contents(self.hub.root / unquote(address.path).removeprefix("/store/"))
            return
        if self.command == "PUT":  # of an upload that was permitted before; no token comes with it
            self._put(address.path.rpartition("/")[2])
            return
        if self.hub.token is not None and token != f"Bearer {self.hub.token}":
            self._error(401, "RepoNotFound", "Repository not found")
        elif self.command == "POST" and self._write(unquote(address.path)):
            return
        elif match := _API.fullmatch(address.path):
            self._api({key: unquote(value or "") for key, value in match.groupdict().items()}, parse_qs(address.query))
        elif match := _RESOLVE.fullmatch(unquote(address.path)):
            self._resolve(**match.groupdict())
        else:
            self._error(404, "", "no such address")

    def _api(self, asked: dict[str, str], query: dict[str, list[str]]) -> None:
        folder = self.hub.root / asked["repo"]
        commit = folder / self.hub.branches.get(asked["commit"], asked["commit"])
        if not folder.is_dir():
            self._error(404, "RepoNotFound", "Repository not found")
        elif not commit.is_dir():
            self._error(404, "RevisionNotFound", f"Invalid rev id: {asked['commit']}")
        elif asked["what"] == "revision":
            self._json({"id": asked["repo"], "sha": commit.name, "private": False, "disabled": False, "gated": False, "downloads": 0, "likes": 0, "tags": [], "siblings": []})
        elif asked["what"] == "paths-info":
            places = [commit / path for path in parse_qs(self._body.decode()).get("paths", [])]
            self._json([_entry(place, commit) for place in places if place.exists()])
        elif not (commit / (asked["path"] or "")).is_dir():
            self._error(404, "EntryNotFound", "Entry not found")
        else:
            self._tree(commit, commit / asked["path"], query)

    def _tree(self, commit: Path, folder: Path, query: dict[str, list[str]]) -> None:
        recursive = query.get("recursive", ["false"])[0].lower() == "true"
        entries = [_entry(path, commit) for path in sorted(folder.rglob("*") if recursive else folder.iterdir())]
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.hub.page_entries
        address = f"{self.hub.endpoint}{urlsplit(self.path).path}?recursive={str(recursive).lower()}&cursor={stop}"
        self._json(entries[start:stop], {"Link": f'<{address}>; rel="next"'} if stop < len(entries) else {})

    def _resolve(self, repo: str, commit: str, path: str) -> None:
        file = self.hub.root / repo / commit / path
        if self.hub.faults:
            self._error(self.hub.faults.pop(0), "", "busy")
        elif not file.is_file():
            self._error(404, "EntryNotFound", "Entry not found")
        else:
            place = quote(file.relative_to(self.hub.root).as_posix())
            self._answer(302, b"", {"Location": f"{self.hub.endpoint}/store/{place}", **self._about(file)})

    def _about(self, file: Path) -> dict[str, str]:
        """What a download wants to know beforehand; on both answers, for a redirect to the same host is followed before it is read."""
        data = file.read_bytes()
        commit = file.relative_to(self.hub.root).parts[2]
        return {"X-Repo-Commit": commit, "X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"'}

    def _contents(self, file: Path) -> None:
        data = file.read_bytes()
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None:
            self._answer(200, data, {"Accept-Ranges": "bytes", **self._about(file)})
            return
        start, stop = int(match[1]), min(len(data), int(match[2] or len(data)) + 1)
        self._answer(206, data[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    # -- uploads ---------------------------------------------------------------------------------------------------

    def _write(self, path: str) -> bool:
        """Answer a request that belongs to an upload; ``False`` where it does not."""
        if path == "/api/repos/create":
            self._create(json.loads(self._body))
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := _LFS.fullmatch(path):
            stored = {oid for oid in (one["oid"] for one in json.loads(self._body)["objects"]) if self._large(oid).is_file()}
            self._json({"objects": [self._batch(one, one["oid"] in stored) for one in json.loads(self._body)["objects"]]})
        elif match := _WRITE.fullmatch(path):
            {"preupload": self._preupload, "commit": self._commit, "tag": self._tag}[match["what"]](match["repo"], match["branch"])
        else:
            return False
        return True

    def _large(self, oid: str) -> Path:
        return self.hub.root / ".large" / oid

    def _batch(self, asked: dict[str, Any], stored: bool) -> dict[str, Any]:
        upload = {"actions": {"upload": {"href": f"{self.hub.endpoint}/put/{asked['oid']}"}}}
        return {"oid": asked["oid"], "size": asked["size"], **({} if stored else upload)}

    def _put(self, oid: str) -> None:
        self.hub.on_write("put")
        if hashlib.sha256(self._body).hexdigest() != oid:
            self._error(400, "", "another sha256")
            return
        self._large(oid).parent.mkdir(exist_ok=True)
        self._large(oid).write_bytes(self._body)
        self.hub.uploads.append(oid)
        self._answer(200, b"", {})

    def _create(self, asked: dict[str, Any]) -> None:
        repo = f"{asked['organization']}/{asked['name']}"
        url = f"{self.hub.endpoint}/{'datasets/' if asked.get('type') == 'dataset' else ''}{repo}"
        if not (self.hub.root / repo).is_dir():
            (self.hub.root / repo / "0000").mkdir(parents=True)
            self.hub.branches["main"] = "0000"
        self._json({"url": url, "name": repo})

    def _preupload(self, repo: str, branch: str) -> None:
        here = self.hub.root / repo / self.hub.branches[branch]
        self._json({"files": [self._mode(here, one["path"]) for one in json.loads(self._body)["files"]]})

    def _mode(self, here: Path, path: str) -> dict[str, Any]:
        mode = "lfs" if path.endswith(self.hub.large) else "regular"
        content = (here / path).read_bytes() if (here / path).is_file() else None
        git = hashlib.sha1(b"blob %d\0" % len(content or b"") + (content or b"")).hexdigest()
        oid = None if content is None else hashlib.sha256(content).hexdigest() if mode == "lfs" else git
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, repo: str, branch: str) -> None:
        self.hub.on_write("commit")
        lines = [json.loads(line) for line in self._body.decode().splitlines()]
        before = self.hub.root / repo / self.hub.branches[branch]
        commit = hashlib.sha1(before.name.encode() + self._body).hexdigest()
        after = self.hub.root / repo / commit
        shutil.copytree(before, after)
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                (after / value["path"]).unlink()
            elif line["key"] in ("file", "lfsFile"):
                content = b64decode(value["content"]) if line["key"] == "file" else self._large(value["oid"]).read_bytes()
                (after / value["path"]).parent.mkdir(parents=True, exist_ok=True)
                (after / value["path"]).write_bytes(content)
        self.hub.branches[branch] = commit
        self.hub.commits.append([line["value"]["path"] for line in lines if line["key"] != "header"])
        self._json({"commitUrl": f"{self.hub.endpoint}/{repo}/commit/{commit}", "commitOid": commit})

    def _tag(self, repo: str, revision: str) -> None:
        tag = json.loads(self._body)["tag"]
        if (repo, tag) in self.hub.tags:
            self._error(409, "", "the tag is there")
            return
        self.hub.tags[repo, tag] = revision
        self._json({})

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str, message: str) -> None:
        self._answer(status, json.dumps({"error": message}).encode(), {"Content-Type": "application/json", "X-Error-Code": code, "X-Error-Message": message})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextlib.contextmanager
def hub_server(root: Path) -> Iterator[HubServer]:
    """Serve the datasets below a folder: ``OWNER/NAME/COMMIT/…``."""
    hub = HubServer("", root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
