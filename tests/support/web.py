"""A web server of a few files on this machine, with redirects, ranges, entity tags and faults to order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Web(ThreadingHTTPServer):
    """Serves ``files`` (path -> bytes).

    ``moved`` maps a path to the path that a 302 sends to, ``failing`` a path to a status, ``breaks`` counts answers
    that stop half way; ``ranges`` False ignores them. ``asked`` lists (path, range header) of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.failing: dict[str, int] = {}
        self.breaks = 0
        self.ranges = True
        self.tag: str | None = '"one"'
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        web, path, wanted = self.server, self.path.lstrip("/"), self.headers.get("Range")
        web.asked.append((path, wanted))
        if path in web.moved:
            self.send_response(302)
            self.send_header("Location", f"/{web.moved[path]}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path in web.failing or path not in web.files:
            self.send_error(web.failing.get(path, 404))
            return
        body, first = web.files[path], 0
        same = self.headers.get("If-Range") in (None, web.tag)
        if wanted and web.ranges and same:
            first = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if web.tag is not None:
            self.send_header("ETag", web.tag)
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        sent = body[first:]
        if web.breaks and len(sent) > 1:
            web.breaks -= 1
            sent = sent[: len(sent) // 2]
        with suppress(OSError):  # a client that only wanted the headers
            self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Web]:
    """A running server, stopped afterwards."""
    web = Web()
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
