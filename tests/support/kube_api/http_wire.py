# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on asyncio streams, as little as a stand-in needs: requests in, answers out whole or in chunks, and the ways in
which a bad network or a hostile server spoils an answer on its way."""
import asyncio
import gzip
import random
import urllib.parse
import zlib

REASONS = {200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request",
           401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict",
           410: "Gone", 422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable", 504: "Gateway Timeout"}
HEAD_MAX = 65536
BODY_MAX = 64 << 20


class Request:
    def __init__(self, method, target, headers, body, peer):
        self.method, self.target, self.headers, self.body, self.peer = method, target, headers, body, peer
        path, _, query = target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def flag(self, name):
        return self.query.get(name, "").lower() in ("1", "true")


async def read_request(reader, peer):
    """The next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    size = int(headers.get("content-length") or 0)
    body = await reader.readexactly(size) if 0 < size <= BODY_MAX else b""
    return Request(method, target, headers, body, peer)


class Answer:
    """One answer on its way out. Bodies go out whole by whole() or in pieces by start(), piece()..., end(); a spoiler
    (see faults.py) changes how."""

    def __init__(self, writer, request, spoil=None, fixed=()):
        self.writer, self.request, self.spoil, self.fixed = writer, request, spoil, fixed
        self.status = None
        self.sent = 0
        self.zip = None
        self.chunked = False

    async def _head(self, status, headers):
        self.status = status
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}", *(f"{name}: {value}" for name, value in headers), "", ""]
        await self.raw("\r\n".join(lines).encode())

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def takes_gzip(self):
        return "gzip" in self.request.headers.get("accept-encoding", "")

    async def whole(self, status, content_type, body, headers=(), zip_from=1 << 17):
        headers = [("Content-Type", content_type), *self.fixed, *headers]
        if self.spoil and self.spoil.changes_body():
            self.zip = None
            await self.start(status, content_type, headers[1 + len(self.fixed):], zipped=False)
            await self.piece(body)
            await self.end()
            return
        if len(body) >= zip_from and self.takes_gzip():
            body = gzip.compress(body, 1)
            headers.append(("Content-Encoding", "gzip"))
        await self._head(status, [*headers, ("Content-Length", len(body))])
        await self.raw(body)
        self.sent += len(body)

    async def start(self, status, content_type, headers=(), zipped=False):
        if self.spoil and self.spoil.content_type:
            content_type = self.spoil.content_type
        headers = [("Content-Type", content_type), *self.fixed, *headers, ("Transfer-Encoding", "chunked")]
        if zipped and self.takes_gzip():
            self.zip = zlib.compressobj(1, zlib.DEFLATED, 31)
            headers.append(("Content-Encoding", "gzip"))
        self.chunked = True
        await self._head(status, headers)

    async def piece(self, data):
        if self.zip:
            data = self.zip.compress(data) + self.zip.flush(zlib.Z_SYNC_FLUSH)
        if self.spoil:
            await self.spoil.piece(self, data)
        else:
            await self.chunk(data)

    async def chunk(self, data):
        if data:
            await self.raw(b"%x\r\n%s\r\n" % (len(data), data))
            self.sent += len(data)

    async def end(self):
        if self.zip:
            data, self.zip = self.zip.flush(), None
            await self.chunk(data)
        if self.spoil:
            await self.spoil.end(self)
        await self.raw(b"0\r\n\r\n")

    def abort(self):
        self.writer.transport.abort()


def random_pieces(data, seed, largest=97):
    """The same bytes in pieces of random sizes."""
    chance = random.Random(seed)
    at = 0
    while at < len(data):
        size = chance.randint(1, largest)
        yield data[at:at + size]
        at += size
