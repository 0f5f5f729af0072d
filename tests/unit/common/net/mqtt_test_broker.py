# SPDX-License-Identifier: Apache-2.0
# A broker that misbehaves on request, for mqtt_client_test: one MQTT 5 connection after the other, and the client id
# says what to do. It says its port on the first line and serves until its input closes.
import os, socket, struct, sys, threading


def packet(first, body):
    return bytes([first, len(body)]) + body


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_packet(sock):
    first = read_exactly(sock, 1)[0]
    length, shift = 0, 0
    while True:
        byte = read_exactly(sock, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first, read_exactly(sock, length)


def client_id_of(connect):
    # protocol name (2 + 4), version, flags, keep-alive (2), properties, then the client id
    properties = connect[10]
    at = 11 + properties
    (size,) = struct.unpack(">H", connect[at:at + 2])
    return connect[at + 2:at + 2 + size].decode()


def serve(sock):
    first, body = read_packet(sock)
    name = client_id_of(body)
    if name == "silent":
        sock.recv(1)
        return
    if name == "refused":
        sock.sendall(packet(0x20, bytes([0, 0x87, 0])))
        return
    properties = bytes([33, 0, 2]) if name == "two-at-a-time" else b""
    if name == "small-packets":
        properties = bytes([39]) + struct.pack(">I", 100)
    sock.sendall(packet(0x20, bytes([0, 0, len(properties)]) + properties))
    held = []
    while True:
        first, body = read_packet(sock)
        if first >> 4 == 8:  # SUBSCRIBE
            reason = 0x87 if name == "no-subscription" else 1
            sock.sendall(packet(0x90, body[:2] + bytes([0, reason])))
        elif first >> 4 == 3:  # PUBLISH with QoS 1
            (size,) = struct.unpack(">H", body[:2])
            identifier = body[2 + size:4 + size]
            if name == "quota":
                sock.sendall(packet(0x40, identifier + bytes([0x97, 0])))
            elif name == "goes":
                text = b"maintenance"
                properties = bytes([31, 0, len(text)]) + text
                sock.sendall(packet(0xE0, bytes([0x8B, len(properties)]) + properties))
                return
            elif name == "twin":
                sock.sendall(packet(0xE0, bytes([0x8E, 0])))
                return
            elif name == "two-at-a-time":
                held.append(identifier)
                if len(held) == 2:  # never before two are there: a smaller window would hang
                    for one in held:
                        sock.sendall(packet(0x40, one))
                    held = []
            else:
                sock.sendall(packet(0x40, identifier))
        elif first >> 4 == 12:
            sock.sendall(packet(0xD0, b""))
        elif first >> 4 == 14:
            return


def run():
    while True:
        sock, _ = listener.accept()
        try:
            serve(sock)
        except (EOFError, OSError):
            pass
        sock.close()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=run, daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
os._exit(0)
