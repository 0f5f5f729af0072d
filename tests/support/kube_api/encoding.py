# SPDX-License-Identifier: Apache-2.0
"""Objects as bytes: JSON as the API server words it, and the Kubernetes protobuf encoding.

The protobuf messages are described at run time: from the vendor's .proto files where the contracts lie beside this
checkout, else from the product's own objects.proto (then an object carries only what the product reads). Map fields are
kept as the plain repeated entries that they are on the wire, so that their order is the object's own."""
import base64
import calendar
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[3]
PREFIX = b"k8s\0"
JSON_TYPE = "application/json"
PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf"
# Messages whose members stand, in JSON, among those of the message that holds them.
INLINE = ("volumeSource", "handler", "localObjectReference", "persistentVolumeSource", "ephemeralContainerCommon")


def contracts_folder():
    """Where the vendors' schemas and recorded payloads lie, or None."""
    for place in (os.environ.get("PICKET_CONTRACTS"), TOP.parent / "shared/contracts", TOP.parent.parent / "shared/contracts"):
        if place and (pathlib.Path(place) / "fixtures/kubernetes").is_dir():
            return pathlib.Path(place)
    return None


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, payload):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def unknown(api_version, kind, raw):
    """The envelope of every body: the prefix, then runtime.Unknown, whose two trailing strings are written though empty."""
    return PREFIX + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, raw) + field(3, b"") + field(4, b"")


def watch_frame(kind_of_event, envelope):
    body = field(1, kind_of_event.encode()) + field(2, field(1, envelope))
    return struct.pack(">I", len(body)) + body


class Messages:
    """The protobuf messages that can be encoded here; message(name) is None for one that is not described."""

    def __init__(self, folder=None):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        self.factory = message_factory.MessageFactory(descriptor_pool.DescriptorPool())
        self.pool = self.factory.pool
        self.source, self.prefixes, self.plans = "nothing", [], {}
        files = self._describe(folder, descriptor_pb2)
        for one in files.file if files else []:
            for message in one.message_type:
                for nested in message.nested_type:
                    nested.options.ClearField("map_entry")
            self.pool.Add(one)

    def _describe(self, folder, descriptor_pb2):
        protoc = shutil.which("protoc")
        folder = folder or contracts_folder()
        mine, ours = pathlib.Path(__file__).parent, TOP / "agent/collect/kubernetes/objects.proto"
        vendor = folder / "proto" if folder else None
        if not protoc:
            return None
        if vendor and (vendor / "k8s.io").is_dir():
            self.source = "the vendor's .proto files"
            self.prefixes = ["k8s.io.api.core.v1.", "k8s.io.api.apps.v1.", "k8s.io.api.batch.v1.", "k8s.io.apimachinery.pkg.apis.meta.v1."]
            paths = [vendor, mine]
            names = ["k8s.io/api/core/v1/generated.proto", "k8s.io/api/apps/v1/generated.proto", "batch.proto"]
        elif ours.exists():
            self.source = "the product's own objects.proto"
            paths, names = [ours.parent, TOP / "build/dev/deps/include", "/usr/include"], [ours.name]
        else:
            return None
        with tempfile.NamedTemporaryFile() as out:
            made = subprocess.run([protoc, *(f"-I{path}" for path in paths if pathlib.Path(path).is_dir()), "--include_imports",
                                   f"-o{out.name}", *names], capture_output=True, text=True, check=False)
            if made.returncode:
                raise RuntimeError(f"protoc cannot read {names}: {made.stderr}")
            files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
        if not self.prefixes:
            self.prefixes = [f"{files.file[-1].package}.Kube", f"{files.file[-1].package}."]
        return files

    def message(self, kind):
        for prefix in self.prefixes:
            try:
                return self.pool.FindMessageTypeByName(prefix + kind)
            except KeyError:
                pass
        return None

    def encode(self, descriptor, value):
        """An object, parsed from JSON, as the bytes of that message."""
        message = self.factory.GetPrototype(descriptor)()
        self._fill(message, value)
        return message.SerializePartialToString()

    def decode(self, kind, data):
        return self.factory.GetPrototype(self.message(kind)).FromString(data)

    def _plan(self, descriptor):
        """{name in JSON: (way to the field, field)}, made once for a message."""
        plan = self.plans.get(descriptor.full_name)
        if plan is None:
            plan = self.plans[descriptor.full_name] = {}
            for one in descriptor.fields:
                if one.name in INLINE and one.message_type:
                    for name, (way, inner) in self._plan(one.message_type).items():
                        plan.setdefault(name, ((one.name, *way), inner))
                plan[one.camelcase_name if "_" in one.name else one.name] = ((), one)
        return plan

    def _fill(self, message, value):
        descriptor = message.DESCRIPTOR
        special = SPECIAL.get(descriptor.name)
        if special:
            special(message, value)
            return
        plan = self._plan(descriptor)
        message.SetInParent()
        for name, content in value.items():
            if content is None or name not in plan:
                continue
            way, one = plan[name]
            holder = message
            for step in way:
                holder = getattr(holder, step)
                holder.SetInParent()
            self._set(holder, one, content)

    def _set(self, holder, one, content):
        if one.label == one.LABEL_REPEATED:
            target = getattr(holder, one.name)
            if isinstance(content, dict):  # a map: entries in the object's order
                for key, inner in content.items():
                    entry = target.add()
                    entry.key = key
                    self._set(entry, one.message_type.fields_by_name["value"], inner)
            elif one.message_type:
                for inner in content:
                    self._fill(target.add(), inner)
            else:
                target.extend(content)
        elif one.message_type:
            self._fill(getattr(holder, one.name), content)
        elif one.type == one.TYPE_BYTES:
            setattr(holder, one.name, base64.b64decode(content))
        else:
            setattr(holder, one.name, content)


def _time(message, value):
    message.SetInParent()
    if not value:
        return
    whole, _, fraction = value.rstrip("Z").partition(".")
    message.seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    message.nanos = int((fraction + "000000000")[:9])


def _quantity(message, value):
    message.string = str(value)


def _int_or_string(message, value):
    # A Go server writes all three, whichever counts.
    message.type, message.intVal, message.strVal = (1, 0, value) if isinstance(value, str) else (0, value, "")


def _raw_json(message, value):
    message.Raw = compact(value)


def _raw_extension(message, value):
    message.raw = compact(value)


def _duration(message, value):
    message.duration = int(float(value.rstrip("s")) * 1e9)


SPECIAL = {"Time": _time, "MicroTime": _time, "Quantity": _quantity, "IntOrString": _int_or_string, "FieldsV1": _raw_json,
           "RawExtension": _raw_extension, "Duration": _duration}
