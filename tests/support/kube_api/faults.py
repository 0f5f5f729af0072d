# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with answers: one Fault for the next `count` requests that match, each kind a row of KINDS."""
import asyncio
import struct
import zlib

from .http_wire import random_pieces

# Kinds that answer instead of the server, and kinds that change the server's own answer on its way.
INSTEAD = ("status", "error", "redirect", "hang", "drop", "endless", "huge", "malformed", "bomb", "headers")
CHANGES = ("stall", "slow", "chunks", "cut", "content_type")
KINDS = INSTEAD + CHANGES


class Released(Exception):
    pass


class Fault:
    """kind, and what it needs:
    status: code, retry_after, reason, message      redirect: location, code
    error: a watch (200) whose one event is an ERROR: code, reason, message
    hang: nothing is ever answered                  drop: the connection ends without an answer
    endless: an answer that never ends (of="items": valid objects; "string": one string; "zeros")
    huge: one object of `bytes`                     malformed: of="json", "frame", "length", "message", "chunk"
    bomb: gzip that unpacks to `bytes`              headers: header lines without end
    stall: nothing more after `after` bytes, until release()        slow: `rate` bytes a second
    chunks: borders at random (`seed`)              cut: the connection is reset after `after` bytes
    content_type: `value` instead of the true one"""

    def __init__(self, kind, resource=None, verb=None, count=-1, path=None, **more):
        if kind not in KINDS:
            raise ValueError(f"no fault is called '{kind}' (known: {', '.join(KINDS)})")
        self.kind, self.resource, self.verb, self.left, self.path, self.more = kind, resource, verb, count, path, more
        self.released = asyncio.Event()
        self.hits = 0
        self.content_type = more.get("value") if kind == "content_type" else None

    def takes(self, resource, verb, path):
        if self.left == 0 or self.resource not in (None, resource) or self.verb not in (None, verb):
            return False
        if self.path and self.path not in path:
            return False
        self.left -= self.left > 0
        self.hits += 1
        return True

    def changes_body(self):
        return self.kind in CHANGES

    async def piece(self, answer, data):
        await getattr(self, "_piece_" + self.kind, self._piece_plain)(answer, data)

    async def end(self, answer):
        if self.kind in ("stall", "cut"):  # the body was shorter than what was to be let through
            await getattr(self, "_piece_" + self.kind)(answer, b"", at_end=True)

    @staticmethod
    async def _piece_plain(answer, data):
        await answer.chunk(data)

    async def _piece_stall(self, answer, data, at_end=False):
        after = self.more.get("after", 0)
        if not self.released.is_set() and (at_end or answer.sent + len(data) > after):
            first = max(0, after - answer.sent)
            await answer.chunk(data[:first])
            data = data[first:]
            await self.released.wait()
        await answer.chunk(data)

    async def _piece_slow(self, answer, data):
        step = max(1, int(self.more.get("rate", 100) / 10))
        for at in range(0, len(data), step):
            await answer.chunk(data[at:at + step])
            if not self.released.is_set():
                await asyncio.sleep(0.1)

    async def _piece_chunks(self, answer, data):
        for part in random_pieces(data, self.more.get("seed", 1) + answer.sent, self.more.get("largest", 97)):
            await answer.chunk(part)

    async def _piece_cut(self, answer, data, at_end=False):
        after = self.more.get("after", 0)
        if at_end or answer.sent + len(data) > after:
            await answer.chunk(data[:max(0, after - answer.sent)])
            answer.abort()
            raise ConnectionResetError("cut")
        await answer.chunk(data)

    # -- instead of the server

    async def instead(self, answer, server, wants):
        await getattr(self, "_instead_" + self.kind)(answer, server, wants)

    async def _instead_status(self, answer, server, wants):
        code = self.more.get("code", 500)
        await server.status(answer, code, self.more.get("reason"), self.more.get("message"), self.more.get("retry_after"), wants)

    async def _instead_error(self, answer, server, wants):
        from .watching import Watch
        await answer.start(200, wants.content_type(server))
        said = self.more.get("reason", "Expired"), self.more.get("message", "too old resource version: 1 (2)")
        await answer.chunk(Watch(server, wants, answer, None).error(self.more.get("code", 410), *said))
        await answer.end()

    async def _instead_redirect(self, answer, _server, _wants):
        await answer.whole(self.more.get("code", 307), "text/plain", b"elsewhere\n", [("Location", self.more["location"])])

    async def _instead_hang(self, answer, _server, _wants):
        await self.released.wait()
        answer.abort()
        raise ConnectionResetError("hung")

    async def _instead_drop(self, answer, _server, _wants):
        answer.abort()
        raise ConnectionResetError("dropped")

    async def _instead_headers(self, answer, _server, _wants):
        await answer.raw(b"HTTP/1.1 200 OK\r\n")
        number = 0
        while not self.released.is_set():
            await answer.raw(b"".join(b"X-More-%d: %s\r\n" % (number + i, b"x" * 200) for i in range(100)))
            number += 100
            await asyncio.sleep(0)

    async def _instead_endless(self, answer, server, wants):
        await answer.start(200, wants.content_type(server))
        start, again = self._endless_parts(wants)
        await answer.chunk(start)
        again *= max(1, 16384 // len(again))
        while not self.released.is_set():
            await answer.chunk(again)
            await asyncio.sleep(0)

    def _endless_parts(self, wants):
        of = self.more.get("of", "string")
        if of == "zeros":
            return b"\0", b"\0" * 16384
        watching = wants.verb == "watch"
        if wants.protobuf:  # a frame, or a list's envelope, that says it is long and goes on for ever
            return struct.pack(">I", 0x7FFFFFFF) if watching else b"k8s\0\x12\xff\xff\xff\xff\x07", b"\x0a\x80\x01" + b"x" * 128
        if of == "items":
            one = b'{"metadata":{"name":"endless","namespace":"endless","uid":"u","resourceVersion":"1"}}'
            return (b'', b'{"type":"ADDED","object":' + one + b"}\n") if watching else (
                b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[' + one, b"," + one)
        return (b'{"type":"ADDED","object":{"metadata":{"name":"' if watching else b'{"metadata":{"resourceVersion":"'), b"x" * 16384

    async def _instead_huge(self, answer, server, wants):
        size = self.more.get("bytes", 64 << 20)
        await answer.start(200, wants.content_type(server))
        if wants.protobuf:
            await answer.chunk(struct.pack(">I", size) if wants.verb == "watch" else b"k8s\0")
            await answer.chunk(b"\x0a\x05ADDED")
        else:
            await answer.chunk(b'{"type":"ADDED","object":{"metadata":{"name":"huge","annotations":{"a":"')
        for _ in range(size // 65536):
            await answer.chunk(b"a" * 65536)
        await answer.chunk(b'"}}}}\n')
        await answer.end()

    async def _instead_malformed(self, answer, server, wants):
        of = self.more.get("of", "frame" if wants.protobuf else "json")
        if of == "chunk":
            await answer.start(200, wants.content_type(server))
            await answer.raw(b"zz\r\nthis is no chunk\r\n")
            answer.abort()
            raise ConnectionResetError("malformed")
        broken = {
            "json": b'{"type":"ADDED","object":{"metadata":{"name":[}}\n',
            "frame": struct.pack(">I", 5) + b"\xff\xff\xff\xff\xff",
            "length": b"\xff\xff\xff\xff" + b"\0" * 64,
            "message": struct.pack(">I", 23) + b"\x0a\x05ADDED\x12\x0e\x0a\x0ck8s\0\x12\xff\xff\xff\x0f\x0a\x01\x02",
        }[of]
        await answer.whole(200, wants.content_type(server), broken)

    async def _instead_bomb(self, answer, server, wants):
        size = self.more.get("bytes", 1 << 30)
        packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), b" " * (1 << 20)
        await answer.start(200, wants.content_type(server), [("Content-Encoding", "gzip")])
        for _ in range(size >> 20):
            await answer.chunk(packer.compress(block))
            await asyncio.sleep(0)
        await answer.chunk(packer.flush())
        await answer.end()
