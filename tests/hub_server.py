"""A stand-in for the Hugging Face Hub: as much of it as pushing and fetching ask for, over HTTP, in memory."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_aTokenThatMayWrite"
EMPTY = "0" * 40  # the commit that a new repository begins with


class Hub(ThreadingHTTPServer):
    """``repos`` has for each name its privacy and branches, ``commits`` the files of each commit by their names."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.commits, self.blobs = {}, {EMPTY: {}}, {}
        self.broken = ""  # a part of the paths that this server fails at

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, repo, revision="main"):
        """The files of a commit, by its id or that of a branch; KeyError where there is none."""
        return self.commits[self.repos[repo]["branches"].get(revision, revision)]


class Handler(BaseHTTPRequestHandler):
    """What the library asks for, in its order: create, read, branch, check the card, choose ways, upload, commit."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    do_GET = do_POST = do_PUT = do_HEAD

    def answer(self):
        path, body = unquote(urlsplit(self.path).path), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = path.strip("/").split("/")
        sent = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.server.broken and self.server.broken in path:
            self.send(500, {"error": f"out of order, says your {sent}"})
        elif sent not in ("", TOKEN):
            self.send(401, {"error": "Invalid username or password."}, {"X-Error-Message": "Invalid credentials"})
        elif self.command in ("HEAD", "GET") and "resolve" in parts:
            self.resolve("/".join(parts[:2]), "/".join(parts[3:-1]), parts[-1])
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path.startswith("/lfs/"):
            self.server.blobs[parts[-1]] = body
            self.send(200, {})
        elif path.startswith("/api/models/") and "/".join(parts[2:4]) in self.server.repos:
            self.model("/".join(parts[2:4]), parts[4:], body)
        elif path == "/api/validate-yaml":
            self.send(200, {"errors": [], "warnings": []})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            upload = lambda oid: {"upload": {"href": f"{self.server.url}/lfs/{oid}"}}  # noqa: E731
            self.send(200, {"objects": [{**o, "actions": upload(o["oid"])} for o in objects]})
        else:
            self.send(404, {"error": "not here"}, {"X-Error-Code": "RepoNotFound"})

    def create(self, wanted):
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] == "others":
            self.send(403, {"error": "no rights to create a model under this namespace"})
        elif name in self.server.repos:
            self.send(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"})
        else:
            private = "private" in (wanted.get("visibility"), wanted.get("private") and "private")
            self.server.repos[name] = {"private": private, "branches": {"main": EMPTY}}
            self.send(200, {"url": f"{self.server.url}/{name}"})

    def model(self, repo, parts, body):
        state = self.server.repos[repo]
        if not parts:
            self.send(200, {"id": repo, "private": state["private"], "sha": state["branches"]["main"]})
        elif parts[0] == "branch":
            state["branches"].setdefault("/".join(parts[1:]), state["branches"]["main"])
            self.send(200, {})
        elif parts[0] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
            self.send(200, {"files": [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes.items()]})
        elif parts[0] == "commit":
            self.commit(repo, "/".join(parts[1:]), [json.loads(line) for line in body.splitlines()])

    def commit(self, repo, branch, lines):
        files = dict(self.server.files(repo, branch))
        for value in (line["value"] for line in lines[1:]):
            blob = self.server.blobs[value["oid"]] if "oid" in value else base64.b64decode(value["content"])
            files[value["path"]] = blob
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.server.commits[commit] = files
        self.server.repos[repo]["branches"][branch] = commit
        self.send(200, {"commitUrl": f"{self.server.url}/{repo}/commit/{commit}", "commitOid": commit})

    def resolve(self, repo, revision, name):
        state = self.server.repos.get(repo)
        hidden = state is None or (state["private"] and "Authorization" not in self.headers)
        commit = None if hidden else state["branches"].get(revision, revision)
        about = {"X-Repo-Commit": commit}
        if hidden:
            self.send(401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif commit not in self.server.commits:
            self.send(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
        elif name not in self.server.commits[commit]:
            self.send(404, {"error": "no file"}, {"X-Error-Code": "EntryNotFound", **about})
        else:
            data = self.server.commits[commit][name]
            self.send(200, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', **about})

    def send(self, status, content, headers=()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **dict(headers)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def hub_server():
    """A running one; it ends with the block."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
