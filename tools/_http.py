"""The page's server: who may ask, for what, and how much may be sent.

    GET     /TOKEN/                             the page, and the files of PAGE
    GET     /TOKEN/model                        classes, colours, limits; the images so far
    POST    /TOKEN/images?name=cell.tif         an image, the body; answers its state
    GET     /TOKEN/images/ID                    its state
    DELETE  /TOKEN/images/ID                    cancel and forget it
    GET     /TOKEN/images/ID/3.png              page 3 as shown
    GET     /TOKEN/images/ID/3.labels           its classes, a byte a pixel
    GET     /TOKEN/images/ID/3.1.prob           the probability of class 1, a byte a pixel
    GET     /TOKEN/images/ID/labels.tif         a result; at another threshold with
                                                ?class=1&threshold=0.4

It listens on 127.0.0.1 alone.  Whoever asks must know the token, which is in the address that the
terminal shows; name this very host (another page, whose name was made to lead here, does not); and,
to change anything, come from this page (Origin).  Files of the page are a table, paths of requests
are never paths of files.
"""

from __future__ import annotations

import gzip
import hmac
import importlib.util
import json
import math
import re
import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from .. import __version__
from ..errors import DemitasseError
from . import _jobs, _views

if TYPE_CHECKING:
    from ._jobs import Job, Jobs

PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "server.js": ("server.js", "text/javascript; charset=utf-8"),
    "view.js": ("view.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
TYPES = {
    ".tif": "image/tiff",
    ".csv": "text/csv; charset=utf-8",
    ".zip": "application/zip",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CHUNK = 1 << 20
_SILENCE = 60.0  # seconds without a byte, then the connection is closed
_MOMENT, _DRAINED = 0.5, 16 << 20  # seconds and bytes, after a refusal
_LONGEST, _LONGEST_END = 120, 10  # bytes of a name, and of what follows its last dot


class Refused(Exception):
    """status: of HTTP; str: why, in words."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(ThreadingHTTPServer):
    """On 127.0.0.1; port 0 takes a free one.  limit: bytes of an upload; folder: where uploads lie
    until they are whole."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, jobs: Jobs, folder: Path, limit: int) -> None:
        self.jobs, self.folder, self.limit = jobs, folder, limit
        self.token = secrets.token_urlsafe(24)
        super().__init__(("127.0.0.1", port), Handler)
        self.hosts = hosts(self.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"demitasse/{__version__}", ""
    timeout = _SILENCE

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the images."""

    # ------------------------------------------------------------------ who may ask

    def _answer(self, act: Callable[[str, dict[str, str]], None]) -> None:
        try:
            path, query = self._admitted()
            act(path, query)
        except Refused as refusal:
            self._refuse(refusal.status, str(refusal))
        except (DemitasseError, MemoryError) as error:
            self._refuse(422, self.server.jobs.words(error))
        except FileNotFoundError:  # forgotten meanwhile
            self._refuse(404, "This image is no longer here.")
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            self._refuse(507, self.server.jobs.words(error))

    def _admitted(self) -> tuple[str, dict[str, str]]:
        """The path behind the token, and the query; Refused for strangers."""
        if self.headers.get("Host", "") not in self.server.hosts:
            raise Refused(403, "This address leads nowhere.")
        parts = urlsplit(self.path)
        token, _, path = parts.path[1:].partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(403, "Open the whole address that the terminal shows.")
        own = {f"http://{host}" for host in self.server.hosts}
        if self.command != "GET" and self.headers.get("Origin") not in own:
            raise Refused(403, "Only the page itself may do this.")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return path, query

    # ------------------------------------------------------------------ what they may ask

    def _get(self, path: str, query: dict[str, str]) -> None:
        if path in PAGE:
            name, kind = PAGE[path]
            page = resources.files(__package__).joinpath("page", name)
            return self._send(page.read_bytes(), kind)
        if path == "model":
            return self._json(self._model())
        job, rest = self._job(path)
        if not rest:
            return self._json(job.state())
        if rest in _views.FILES:
            return self._give(job, rest, query)
        found = re.fullmatch(r"(\d{1,7})\.(png|labels|(\d{1,4})\.prob)", rest)
        if not found or int(found[1]) >= len(job.pages):
            raise Refused(404, "There is nothing here.")
        place = int(found[1])
        if found[2] == "png":
            return self._send(_views.picture(job, place), "image/png")
        self._segmented(job)
        if found[2] == "labels":
            return self._raw(_views.labels(job, place))
        return self._raw(_views.probability(job, place, self._class(found[3])))

    def _post(self, path: str, query: dict[str, str]) -> None:
        if path != "images":
            raise Refused(404, "There is nothing here.")
        name = file_name(query.get("name", ""))
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]+", length):
            raise Refused(411, "The size of the file is not said.")
        if len(length) > 20 or int(length) > self.server.limit:
            raise Refused(413, too_large(name, int(length[:20]), self.server.limit))
        upload = self.server.folder / f"{secrets.token_hex(8)}.part"
        try:
            self._receive(upload, int(length))
            state = self.server.jobs.take(name, upload).state()
        except (DemitasseError, MemoryError) as error:
            # the request is right, its image is not
            state = {"name": name, "status": "failed", "error": self.server.jobs.words(error)}
        finally:
            upload.unlink(missing_ok=True)
        self._json(state, 201)

    def _delete(self, path: str, query: dict[str, str]) -> None:
        job, rest = self._job(path)
        if rest:
            raise Refused(404, "There is nothing here.")
        self.server.jobs.forget(job)
        self._json({})

    def _receive(self, target: Path, length: int) -> None:
        with open(target, "xb") as file:
            while length:
                part = self.rfile.read(min(length, _CHUNK))
                if not part:
                    raise ConnectionAbortedError  # the user has cancelled
                file.write(part)
                length -= len(part)

    def _model(self) -> dict[str, Any]:
        from ..imaging.picture import colour

        jobs = self.server.jobs
        deployed = jobs.deployed
        count, names = deployed.predictor.classes, deployed.class_names
        return {
            "weights": Path(deployed.weights).name,
            "classes": [names[i] if i < len(names) else f"class {i}" for i in range(count)],
            "colours": [colour(i) for i in range(1, count)],
            "limit": self.server.limit,
            "most": _jobs.MOST,
            "rois": importlib.util.find_spec("roifile") is not None,
            "images": [job.state() for job in jobs.list()],
        }

    def _job(self, path: str) -> tuple[Job, str]:
        found = re.fullmatch(r"images/([0-9a-f]{16})(?:/([^/]+))?", path)
        job = self.server.jobs.get(found[1]) if found else None
        if found is None:
            raise Refused(404, "There is nothing here.")
        if job is None:
            raise Refused(
                404, f"This image is no longer here: the server keeps {_jobs.MOST} images."
            )
        return job, found[2] or ""

    def _segmented(self, job: Job) -> None:
        if job.status != "done":
            raise Refused(409, f"{job.image.path.name} is not segmented yet.")

    def _class(self, text: str) -> int:
        if (
            not re.fullmatch("[0-9]{1,4}", text)
            or int(text) >= self.server.jobs.deployed.predictor.classes
        ):
            raise Refused(404, "There is no such class.")
        return int(text)

    def _give(self, job: Job, name: str, query: dict[str, str]) -> None:
        """A file of results, to be saved."""
        self._segmented(job)
        threshold, kind = None, 0
        if "threshold" in query:
            threshold, kind = number(query["threshold"]), self._class(query.get("class", "1"))
        jobs = self.server.jobs
        path = _views.file(job, name, jobs.deployed, jobs.args, kind, threshold)
        stem, _, end = name.partition(".")
        mark = "" if threshold is None else f"-{threshold:g}"
        saved = quote(f"{job.image.path.stem}.{stem}{mark}.{end}")
        self._head(
            200,
            TYPES[path.suffix],
            path.stat().st_size,
            {"Content-Disposition": f"attachment; filename*=UTF-8''{saved}"},
        )
        with open(path, "rb") as file:
            while part := file.read(_CHUNK):
                self.wfile.write(part)

    # ------------------------------------------------------------------ answers

    def _head(self, status: int, kind: str, length: int, more: dict[str, str]) -> None:
        self.send_response(status)
        fields = {
            "Content-Type": kind,
            "Content-Length": str(length),
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        for name, value in (fields | more).items():
            self.send_header(name, value)
        self.end_headers()

    def _send(
        self, body: bytes, kind: str, status: int = 200, more: dict[str, str] | None = None
    ) -> None:
        self._head(status, kind, len(body), more or {})
        self.wfile.write(body)

    def _raw(self, body: bytes) -> None:
        packed = gzip.compress(body, 1)
        self._send(packed, "application/octet-stream", more={"Content-Encoding": "gzip"})

    def _json(self, content: dict[str, Any], status: int = 200) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _refuse(self, status: int, why: str) -> None:
        # what was not read of a request would be taken for the next one
        self.close_connection = True
        body = json.dumps({"error": why}).encode()
        self._send(body, "application/json", status, {"Connection": "close"})
        if self.command != "GET":
            self._drain()

    def _drain(self) -> None:
        """Read on for a moment: a connection closed amid what is being sent loses the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_MOMENT)
        left = _DRAINED
        with suppress(TimeoutError):
            while left > 0 and (part := self.rfile.read1(_CHUNK)):
                left -= len(part)


def file_name(text: str) -> str:
    """The name to keep an upload under: the last part of a path, without what could lead astray."""
    name = re.split(r"[/\\]", text)[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip().lstrip(".")
    stem, dot, end = name.rpartition(".")
    if not stem:
        return _cut(name, _LONGEST) or "image"
    return f"{_cut(stem, _LONGEST)}{dot}{_cut(end, _LONGEST_END)}"


def _cut(text: str, most: int) -> str:
    """Its first letters, as many as UTF-8 puts into `most` bytes: so file systems count."""
    return text.encode()[:most].decode(errors="ignore")


def hosts(port: int) -> set[str]:
    """How a browser may name the server; port 80 is the one it leaves out."""
    names = ("127.0.0.1", "localhost")
    return {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())


def number(text: str) -> float:
    """A threshold; Refused unless it lies from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise Refused(400, f"'{text[:20]}' is no threshold from 0 to below 1.")
    return value


def too_large(name: str, size: int, limit: int) -> str:
    mib = 1 << 20
    return (
        f"{name}: is too large; expected at most {limit / mib:,.0f} MiB, found "
        f"{size / mib:,.0f} MiB. Start the server with a larger --max-upload, or use demitasse "
        "deploy."
    )
