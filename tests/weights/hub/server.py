"""A web server on this machine that misbehaves as a test wants it to."""

import contextlib
import dataclasses
import http.server
import threading
from collections.abc import Iterator


@dataclasses.dataclass
class Reply:
    """What is served at a path. `sent`: bytes after which the connection is cut; None sends all.

    `pause`: seconds before it is cut, unless `Server.stop` is set.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    sent: int | None = None
    ranges: bool = True
    pause: float = 0.0


@dataclasses.dataclass
class Server:
    url: str
    replies: dict[str, Reply]
    requests: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    """Method, path and Range of each request."""
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)


@contextlib.contextmanager
def serving(replies: dict[str, Reply]) -> Iterator[Server]:
    server = Server("", replies)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(head_only=True)

        def do_GET(self):
            self.answer(head_only=False)

        def answer(self, head_only):
            wanted = self.headers.get("Range", "")
            server.requests.append((self.command, self.path, wanted))
            reply = replies.get(self.path, Reply(b"nothing here", 404))
            body, status = reply.body, reply.status
            same = (self.headers.get("If-Range") or None) in (None, reply.headers.get("ETag"))
            if wanted and reply.ranges and same:
                body, status = body[int(wanted.removeprefix("bytes=").rstrip("-")) :], 206
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | reply.headers).items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            if not head_only:
                self.wfile.write(body[: reply.sent])
                server.stop.wait(reply.pause)

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()
