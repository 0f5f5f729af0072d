# SPDX-License-Identifier: Apache-2.0
"""The contract's messages as Python classes, made from the .proto files by protoc."""
import os
import subprocess
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def load(proto):
    """{message name without its package: class}"""
    names = sorted(os.path.relpath(os.path.join(folder, name), proto)
                   for folder, _, found in os.walk(proto) for name in found if name.endswith(".proto"))
    with tempfile.NamedTemporaryFile(suffix=".pb") as out:
        subprocess.run(["protoc", "-I", proto, "-I", "/usr/include", "--include_imports", "--descriptor_set_out=" + out.name, *names],
                       check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read()).file
    pool = descriptor_pool.DescriptorPool()
    found = {}
    for file in files:
        pool.Add(file)
        if file.package.startswith("ameide_core_proto.sre."):
            for message in file.message_type:
                found.setdefault(message.name, f"{file.package}.{message.name}")
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(full)) for name, full in found.items()}
