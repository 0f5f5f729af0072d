# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens: keys made by openssl, a server of its key set over HTTP or HTTPS, and the ways in which one misbehaves."""
import base64
import http.server
import json
import ssl
import subprocess
import threading
import time


def b64(data):
    data = data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, stdin=b""):
    return subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=True, timeout=60).stdout


def integers(der):
    """The two numbers of an ECDSA-Sig-Value (RFC 3279 section 2.2.3), which JSON Web Signature wants side by side."""
    assert der[0] == 0x30
    at, numbers = 2, []
    for _ in range(2):
        assert der[at] == 2
        size = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + size], "big"))
        at += 2 + size
    return numbers


class Key:
    def __init__(self, folder, kid, algorithm, bits=2048):
        self.kid, self.algorithm, self.path = kid, algorithm, folder / f"{kid}.pem"
        if algorithm == "RS256":
            openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", self.path)
        else:
            openssl("genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path)

    def jwk(self):
        common = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "RS256":
            modulus = bytes.fromhex(openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1])
            return {"kty": "RSA", "n": b64(modulus), "e": "AQAB", **common}
        point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
        return {"kty": "EC", "crv": "P-256", "x": b64(point[:32]), "y": b64(point[32:]), **common}

    def sign(self, claims, **header):
        message = b64({"alg": self.algorithm, "typ": "JWT", "kid": self.kid, **header}) + "." + b64(claims)
        signature = openssl("dgst", "-sha256", "-sign", self.path, stdin=message.encode())
        if self.algorithm == "ES256":
            signature = b"".join(number.to_bytes(32, "big") for number in integers(signature))
        return f"{message}.{b64(signature)}"


class Issuer:
    """A key set on 127.0.0.1. modes: "good", "garbage", "huge", "redirect", "hang", "error"."""

    def __init__(self, folder, keys, certificate=None):
        self.folder, self.keys, self.certificate = folder, list(keys), certificate
        self.mode, self.asked, self.port, self.server = "good", 0, 0, None
        self.start()

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802 (the library's name)
                outer.asked += 1
                outer.answer(self)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *words: None
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{self.certificate}.crt", f"{self.certificate}.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    close = stop

    def answer(self, request):
        body = json.dumps({"keys": [key.jwk() for key in self.keys]}).encode()
        if self.mode == "hang":
            time.sleep(5)
        if self.mode == "garbage":
            body = b"<html>maintenance</html>"
        if self.mode == "huge":
            body = b'{"keys":[' + b" " * 10_000_000 + b"]}"
        status = {"redirect": 302, "error": 500}.get(self.mode, 200)
        request.send_response(status)
        if status == 302:
            request.send_header("Location", self.url("/elsewhere"))
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    @property
    def name(self):
        return "https://id.example/realms/corp"

    def url(self, path="/keys"):
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}{path}"

    def settings(self, **more):
        return {"name": "corp", "issuer": self.name, "audience": "picket", "jwks_url": self.url(), "jwks_refresh": "2s",
                "jwks_refresh_min": "1s", "jwks_timeout": "1s", "tenant": "demo", "role_claim": "groups",
                "roles": {"sre-leads": "admin", "sre": "responder", "all": "viewer"}, **more}

    def token(self, key, header=None, **claims):
        now = int(time.time())
        content = {"iss": self.name, "aud": "picket", "sub": "anna", "iat": now, "exp": now + 300, "groups": ["all", "sre"], **claims}
        return key.sign({name: value for name, value in content.items() if value is not None}, **(header or {}))
