"""The little that every protocol stub needs: a server in a thread, requests as JSON, answers as JSON or as a stream."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Mapping[str, Any] | str] | Iterator[str]
"""Status and body (an object as JSON, a text as it is), or the pieces of a streamed answer."""
Route = Callable[[Mapping[str, str], dict[str, Any]], Answer]
"""Headers and JSON body (empty for GET) -> answer."""
NOTHING: Answer = (404, {"error": {"message": "Not Found"}})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes: Mapping[str, Route]

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(json.loads(self.rfile.read(length) or b"{}"))

    def _answer(self, body: dict[str, Any]) -> None:
        route = self.routes.get(f"{self.command} {self.path}")
        found = route(self.headers, body) if route else NOTHING
        if isinstance(found, tuple):
            status, said = found
            data = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in found:
                data = piece.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):  # the client has gone: no more is wanted
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: what a request says shall not stand in a log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may leave whenever it likes
            super().handle_error(request, client_address)


@contextmanager
def serving(routes: Mapping[str, Route], port: int = 0) -> Iterator[str]:
    """Answers `{"GET /path": route}` on 127.0.0.1; gives its URL."""
    handler = type("Handler", (_Handler,), {"routes": routes})
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def event(data: Mapping[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(data)}\n\n"


DONE = "data: [DONE]\n\n"
