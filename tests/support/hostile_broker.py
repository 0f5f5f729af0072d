# SPDX-License-Identifier: Apache-2.0
"""A broker that has been taken over: it has the true broker's certificate and speaks MQTT 5 as its deed says. What comes in is
answered as a good broker would (a Session that is `polite`), so that a deed holds only what is wrong with it.

A deed is a function of a Session; it is called when CONNECT has come, and the connection ends when it returns."""
import queue
import socket
import ssl
import struct
import threading
import time

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(1, 16)


def varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def packet(kind, body=b"", flags=0, length=None):
    """length: another one than the body's."""
    return bytes([kind << 4 | flags]) + varint(len(body) if length is None else length) + body


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def publish(topic, payload, properties=b"", qos=0, identifier=1, retained=False):
    middle = struct.pack(">H", identifier) if qos else b""
    return packet(PUBLISH, text(topic) + middle + varint(len(properties)) + properties + payload, qos << 1 | retained)


def connack(session_present=0, reason=0, properties=b""):
    return packet(CONNACK, bytes([session_present, reason]) + varint(len(properties)) + properties)


class Session:
    """One connection of the agent. What it sent is in `batches`, `replies` and `statuses` of the broker, and in `came`."""

    def __init__(self, broker, sock):
        self.broker, self.sock = broker, sock
        self.came = queue.Queue()
        self.subscribed = threading.Event()
        self.connect = self._packet()
        self.polite = True
        self.lock = threading.Lock()

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(min(count - len(data), 65536))
            if not piece:
                raise EOFError
            data += piece
        return data

    def _packet(self):
        first = self._exactly(1)[0]
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first, self._exactly(length)

    def send(self, data):
        with self.lock:
            self.sock.sendall(data)

    def accept(self, **how):
        """CONNACK; then what comes is read and answered, and this waits until the agent has its subscriptions."""
        self.send(connack(**how))
        self.listen()
        if not self.subscribed.wait(10):
            raise EOFError

    def listen(self):
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            while True:
                first, body = self._packet()
                self._answer(first, body)
        except (OSError, EOFError, ValueError):
            self.came.put((0, b""))

    def _answer(self, first, body):
        kind = first >> 4
        if kind == PUBLISH:
            self._published(first, body)
        elif kind == SUBSCRIBE and self.polite:
            self.send(packet(SUBACK, body[:2] + b"\0\1"))
            self.broker.subscriptions += 1
            self.subscribed.set()
        elif kind == PINGREQ and self.polite:
            self.send(packet(PINGRESP))
        self.came.put((first, body))

    def _published(self, first, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if first >> 1 & 3:
            identifier, rest = rest[:2], rest[2:]
            if self.polite:
                self.send(packet(PUBACK, identifier))
        length = shift = at = 0
        while True:
            length |= (rest[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if rest[at - 1] < 128:
                break
        self.broker.heard.setdefault(topic.split("/")[0], []).append(rest[at + length:])

    def ended(self):
        """The agent has closed."""
        while True:
            try:
                if self.came.get(timeout=0)[0] == 0:
                    return True
            except queue.Empty:
                return False

    def hold(self, seconds):
        """Waits until the agent closes, or so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.broker.closed and not self.broker.changed.is_set():
            if self.ended():
                return
            time.sleep(0.02)


class HostileBroker:
    def __init__(self, certificate, key, authority):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.load_verify_locations(authority)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.deed = None
        self.closed = False
        self.changed = threading.Event()
        self.forget()
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        self.heard, self.connections, self.subscriptions, self.sent_to_end, self.errors = {}, [], 0, 0, []

    def play(self, deed):
        self.changed.set()
        time.sleep(0.1)
        self.forget()
        self.deed = deed
        self.changed.clear()

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        self.connections.append(time.monotonic())
        sock = raw
        try:
            raw.settimeout(30)
            sock = self.context.wrap_socket(raw, server_side=True)
            session = Session(self, sock)
            self.deed(session)
            self.sent_to_end += 1
        except (OSError, EOFError, ValueError) as reason:
            self.errors.append(repr(reason))
        finally:
            sock.close()

    def close(self):
        self.closed = True
        self.changed.set()
        self.listener.close()
