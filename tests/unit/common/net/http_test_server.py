# SPDX-License-Identifier: Apache-2.0
# An HTTP/1.1 server for http_client_test: says its port on the first line and serves until its input closes.
# usage: http_test_server.py [certificate key [client-ca]]
import gzip, os, ssl, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body, status=200, content_type="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        length = int(self.headers.get("Content-Length", 0))
        sent = self.rfile.read(length) if length else b""
        if path == "/echo":
            lines = [f"{self.command} {self.path}"] + [f"{k.lower()}: {v}" for k, v in self.headers.items()]
            self.answer("\n".join(lines).encode() + b"\n\n" + sent)
        elif path == "/gzip":
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                self.answer(gzip.compress(b"a" * 100000), Content_Encoding="gzip")
            else:
                self.answer(b"a" * 100000)
        elif path == "/broken-gzip":
            self.answer(gzip.compress(b"a" * 1000)[:10] + b"\xff" * 40, Content_Encoding="gzip")
        elif path == "/connection":
            self.answer(str(self.client_address[1]).encode())
        elif path == "/busy":
            self.answer(b"later", status=503, Retry_After="7")
        elif path == "/moved":
            self.answer(b"", status=302, Location="/connection")
        elif path == "/hang":
            time.sleep(5)
        elif path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        elif path == "/late":
            self.send_response(200)
            self.send_header("Content-Type", "text/late")
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.flush()
            time.sleep(2)
            self.wfile.write(b"x")
        elif path == "/close":
            self.close_connection = True
        elif path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"0123456789")
            self.close_connection = True
        else:
            self.answer(b"no such page", status=404)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients of this test go away on purpose


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    if len(sys.argv) > 3:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)
