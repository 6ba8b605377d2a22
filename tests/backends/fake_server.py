"""A small HTTP server that misbehaves on request: `python fake_server.py PORT MODE`."""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = sys.argv[2]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = 503 if MODE == "sick" else 200
        self._answer(status, b"loading" if status == 503 else os.environ.get("GIVEN", "").encode())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/who":
            self._answer(200, json.dumps({"port": self.client_address[1]}).encode())
        elif self.path == "/refuse":
            self._answer(400, json.dumps({"error": {"message": "no such\nthing"}}).encode())
        elif self.path == "/echo":
            self._answer(200, json.dumps(asked).encode())
        elif self.path == "/crash":
            print("GGML_ASSERT(n > 0) failed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            self._stream(asked)

    def _stream(self, asked: dict[str, list[str]]) -> None:
        """Every piece as a chunk of its own; "-" waits, "!" breaks the connection, "." ends the answer."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in asked["pieces"]:
            if piece == "-":
                time.sleep(0.05)
            elif piece == "!":
                self.close_connection = True
                return
            elif piece == ".":
                self.wfile.write(b"0\r\n\r\n")
            else:
                data = piece.encode("latin-1")
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        print("request", format % args, flush=True)


if MODE == "dies":
    print("loading\nE cannot allocate the moon\nbye", flush=True)
    os.abort()
if MODE == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if MODE == "parent":
    print("child", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
