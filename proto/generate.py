#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the C side of the contract from the .proto files: nanopb's structs and codes, and our own tables.

    generate.py --protoc protoc --nanopb .../nanopb_generator.py --proto DIR --out DIR

protoc reads the files once, into a descriptor set. From it we build the request that protoc would send to nanopb's
plugin, with nanopb's options put into the descriptors here (so that no .options file has to be kept in step with a
.proto file), and then write our tables beside what nanopb answers:

    sre.pb.h              the one header to include: every struct, every <Message>_desc and <Enum>_enum
    sre_tables.c          message, field, rule and enum rows (common/codec/tables.h)
    sre_services.c        method rows (common/codec/services.h)
    sre_docs.c            the comments of the .proto files, for the OpenAPI document and for tools

What the contract may not hold is refused here, with the reason: see check_field().

    generate.py ... --objects kube_objects

makes the same of messages that are another's and no part of the contract (what the agent reads of Kubernetes): no rules
are asked for, there are no methods and no documents, google's messages are the contract's, and what comes out is
kube_objects.h and kube_objects_tables.c.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

F = descriptor_pb2.FieldDescriptorProto
TYPES = {
    F.TYPE_DOUBLE: ("DOUBLE", "double"), F.TYPE_INT32: ("INT32", "int32_t"), F.TYPE_INT64: ("INT64", "int64_t"),
    F.TYPE_UINT32: ("UINT32", "uint32_t"), F.TYPE_UINT64: ("UINT64", "uint64_t"), F.TYPE_BOOL: ("BOOL", "bool"),
    F.TYPE_STRING: ("STRING", "slice"), F.TYPE_BYTES: ("BYTES", "slice"), F.TYPE_ENUM: ("ENUM", None),
    F.TYPE_MESSAGE: ("MESSAGE", None),
}
OPTIONS_PACKAGE = "ameide_core_proto.options.v1"
WELL_KNOWN = {"google.protobuf.Timestamp": "TIMESTAMP", "google.protobuf.Duration": "DURATION"}
FIELDS_MAX = 128  # as in common/codec/json_read.c


class Refused(Exception):
    pass


class Message:
    """One message: its descriptor, its names, its place in the source."""

    def __init__(self, file, desc, full_name, path):
        self.file, self.desc, self.full_name, self.path = file, desc, full_name, path
        package = file.package + "."
        self.c_name = full_name[len(package):].replace(".", "_")
        self.fields = sorted(desc.field, key=lambda f: f.number)


class Contract:
    def __init__(self, files, options, objects=None):
        self.options, self.objects = options, objects
        self.files = [f for f in files if f.package != OPTIONS_PACKAGE and not f.name.endswith("descriptor.proto")]
        self.messages, self.enums, self.services = {}, {}, []
        self.comments = {}
        for file in self.files:
            for location in file.source_code_info.location:
                if location.leading_comments:
                    words = " ".join(location.leading_comments.split())
                    self.comments[(file.name, tuple(location.path))] = words
            for i, enum in enumerate(file.enum_type):
                self.enums["%s.%s" % (file.package, enum.name)] = enum
            for i, message in enumerate(file.message_type):
                self._message(file, message, "%s.%s" % (file.package, message.name), (4, i))
            for i, service in enumerate(file.service):
                self.services.append((file, service, (6, i)))
        for message in self.messages.values():
            if len(message.fields) > FIELDS_MAX:
                raise Refused("%s: more than %d fields" % (message.full_name, FIELDS_MAX))
            for field in message.fields:
                check_field(self, message, field)
        names = {}
        for name in list(self.messages) + list(self.enums):
            c_name = self.c_name(name)
            if c_name in names:
                raise Refused("%s and %s are both %s in C: rename one" % (names[c_name], name, c_name))
            names[c_name] = name

    def _message(self, file, desc, full_name, path):
        self.messages[full_name] = Message(file, desc, full_name, path)
        if desc.enum_type:
            raise Refused("%s: an enum inside a message; put it beside it" % full_name)
        for i, nested in enumerate(desc.nested_type):
            self._message(file, nested, full_name + "." + nested.name, path + (3, i))

    def c_name(self, full_name):
        if full_name in self.messages:
            return self.messages[full_name].c_name
        return full_name.rsplit(".", 1)[1]

    def made(self):
        """What is written out: for objects, all but google's, which the contract has."""
        return [m for m in self.messages.values() if not (self.objects and contract_is_foreign(m))]

    def comment(self, file, path):
        return self.comments.get((file.name, tuple(path)), "")

    def rule(self, field):
        return self.options.rule(field.options)

    def is_map(self, field):
        return field.type == F.TYPE_MESSAGE and self.messages[field.type_name[1:]].desc.options.map_entry


def check_field(contract, message, field):
    where = "%s.%s" % (message.full_name, field.name)
    if field.type not in TYPES:
        raise Refused("%s: type %s is not supported; use double, int32, int64, uint32, uint64, bool, string, bytes, "
                      "an enum or a message" % (where, F.Type.Name(field.type)))
    in_oneof = field.HasField("oneof_index") and not field.proto3_optional
    if in_oneof and field.type != F.TYPE_MESSAGE:
        raise Refused("%s: a oneof may hold messages only" % where)
    if field.label == F.LABEL_REPEATED and field.type == F.TYPE_DOUBLE:
        raise Refused("%s: a list of doubles; put them into messages" % where)
    if field.proto3_optional and field.type in (F.TYPE_STRING, F.TYPE_BYTES):
        raise Refused("%s: optional text has no has_ flag in our structs; empty means absent" % where)
    if contract_is_foreign(message):
        return
    if message.desc.options.map_entry:
        if [f.type for f in message.fields] != [F.TYPE_STRING, F.TYPE_STRING]:
            raise Refused("%s: only map<string, string> is supported" % where)
        return
    if contract.objects:
        return
    rule = contract.rule(field)
    if field.type in (F.TYPE_STRING, F.TYPE_BYTES) and not (rule and rule.max_len):
        raise Refused("%s: text and bytes need a max_len" % where)
    if field.type == F.TYPE_ENUM and not (rule and rule.defined_only):
        raise Refused("%s: enums need defined_only" % where)
    if field.label == F.LABEL_REPEATED and not (rule and rule.max_items):
        raise Refused("%s: repeated fields and maps need max_items" % where)
    if contract.is_map(field) and not (rule.key_max_len and rule.max_len):
        raise Refused("%s: maps need key_max_len and max_len" % where)


def contract_is_foreign(message):
    return message.file.package.startswith("google.")


class NoOptions:
    """Where there are no rules."""

    def rule(self, options):
        return None

    oneof_rule = rule


class Options:
    """Reads options.proto's extensions; its classes are made from the descriptor set, not from generated code."""

    def __init__(self, files):
        from google.protobuf import descriptor_pool, message_factory
        pool = descriptor_pool.Default()
        for file in files:
            if file.package == OPTIONS_PACKAGE:
                pool.Add(file)
        self.pool = pool
        factory = message_factory.MessageFactory(pool)
        for name in ("FieldRule", "OneofRule"):
            factory.GetPrototype(pool.FindMessageTypeByName("%s.%s" % (OPTIONS_PACKAGE, name)))
        self.factory = factory
        self.extensions = {n: pool.FindExtensionByName("%s.%s" % (OPTIONS_PACKAGE, n))
                           for n in ("rule", "oneof_rule", "role")}
        self.roles = pool.FindEnumTypeByName(OPTIONS_PACKAGE + ".Role").values_by_number

    def _read(self, options, name):
        descriptor = self.extensions[name]
        # Parsed again: the set was read before the extensions were known.
        again = type(options).FromString(options.SerializeToString())
        return again.Extensions[descriptor] if again.HasExtension(descriptor) else None

    def rule(self, options):
        return self._read(options, "rule")

    def oneof_rule(self, options):
        return self._read(options, "oneof_rule")

    def role(self, options):
        number = self._read(options, "role")
        return self.roles[number].name if number else "ROLE_NONE"


def text(value):
    """A C string literal; split where C would read a longer escape."""
    return json.dumps(value, ensure_ascii=True) if value.isascii() else \
        '"' + "".join(c if 32 <= ord(c) < 127 and c not in '"\\' else
                      "".join("\\%03o" % b for b in c.encode()) for c in value) + '"'


# ---- nanopb

def c_list_type(contract, field):
    if field.type == F.TYPE_MESSAGE:
        item = "struct _" + contract.c_name(field.type_name[1:])
    elif field.type == F.TYPE_ENUM:
        item = contract.c_name(field.type_name[1:])
    else:
        item = TYPES[field.type][1]
    return "struct { %s *items; size_t count; }" % item


def feed_nanopb(contract, nanopb_pb2, files):
    """Copies of the files with nanopb's options in them."""
    fed = []
    for file in files:
        copy = descriptor_pb2.FileDescriptorProto()
        copy.CopyFrom(file)
        options = copy.options.Extensions[nanopb_pb2.nanopb_fileopt]
        options.mangle_names = nanopb_pb2.M_STRIP_PACKAGE
        options.long_names = False
        options.descriptorsize = nanopb_pb2.DS_4
        options.include.append("common/base/slice.h")
        options.exclude.append(OPTIONS_PACKAGE.replace(".", "/") + "/options.proto")

        def feed(message):
            for field in message.field:
                if field.label == F.LABEL_REPEATED:
                    datatype = c_list_type(contract, field)
                elif field.type in (F.TYPE_STRING, F.TYPE_BYTES):
                    datatype = "slice"
                else:
                    continue
                option = field.options.Extensions[nanopb_pb2.nanopb]
                option.type = nanopb_pb2.FT_CALLBACK
                option.callback_datatype = datatype
            for nested in message.nested_type:
                feed(nested)
        for message in copy.message_type:
            feed(message)
        fed.append(copy)
    return fed


def run_nanopb(generator, fed, everything, out):
    request = plugin_pb2.CodeGeneratorRequest()
    request.file_to_generate.extend(f.name for f in fed)
    by_name = {f.name: f for f in fed}
    for file in everything:
        request.proto_file.append(by_name.get(file.name, file))
    done = subprocess.run([sys.executable, generator, "--protoc-plugin"], input=request.SerializeToString(),
                          stdout=subprocess.PIPE, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(done.stdout)
    if response.error:
        raise Refused("nanopb: " + response.error)
    for file in response.file:
        write(os.path.join(out, file.name), file.content)


# ---- our tables

def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(content)


class Rules:
    """Equal rules are one row."""

    def __init__(self):
        self.rows = {}

    def name(self, rule):
        bounds = "|".join(["BOUND_" + n.upper() for n in ("gt", "gte", "lt", "lte") if rule.HasField(n)]) or "0"
        low = rule.gt if rule.HasField("gt") else rule.gte
        high = rule.lt if rule.HasField("lt") else rule.lte
        if rule.HasField("gt") and rule.HasField("gte") or rule.HasField("lt") and rule.HasField("lte"):
            raise Refused("a rule has both gt and gte, or lt and lte")
        row = "{%s, %s, %s, %d, %d, %d, %d, %d, %d, %d, %r, %r}" % (
            str(rule.required).lower(), str(rule.defined_only).lower(), bounds, rule.format, rule.key_format,
            rule.min_len, rule.max_len, rule.key_max_len, rule.min_items, rule.max_items, low, high)
        return "&field_rules[%d]" % self.rows.setdefault(row, len(self.rows))


def ruled_messages(contract):
    """Messages in which a rule can be broken, themselves or below them."""
    ruled = {m.full_name for m in contract.messages.values()
             if m.full_name in WELL_KNOWN or any(contract.rule(f) for f in m.fields) or
             any(contract.options.oneof_rule(o.options) for o in m.desc.oneof_decl)}
    grown = True
    while grown:
        grown = False
        for message in contract.messages.values():
            if message.full_name not in ruled and any(f.type_name[1:] in ruled for f in message.fields):
                ruled.add(message.full_name)
                grown = True
    return ruled


def field_row(contract, message, field, rules):
    kind = TYPES[field.type][0]
    c_name, offset, has, oneof = message.c_name, field.name, "0", -1
    if field.label == F.LABEL_REPEATED:
        label = "MAP" if contract.is_map(field) else "REPEATED"
    elif field.proto3_optional:
        label, has = "OPTIONAL", "offsetof(%s, has_%s)" % (c_name, field.name)
    elif field.HasField("oneof_index"):
        label, oneof = "ONEOF", field.oneof_index
        name = message.desc.oneof_decl[oneof].name
        offset, has = "%s.%s" % (name, field.name), "offsetof(%s, which_%s)" % (c_name, name)
    elif field.type == F.TYPE_MESSAGE:
        label, has = "OPTIONAL", "offsetof(%s, has_%s)" % (c_name, field.name)
    else:
        label = "SINGULAR"
    rule = contract.rule(field)
    other = contract.c_name(field.type_name[1:]) if field.type_name else ""
    return "    {%s, %s, %d, %d, %d, offsetof(%s, %s), %s, FIELD_%s, FIELD_%s, %d, %s, %s, %s},\n" % (
        text(field.name), text(field.json_name), len(field.name), len(field.json_name), field.number, c_name, offset,
        has, kind, label, oneof, "&%s_desc" % other if field.type == F.TYPE_MESSAGE else "NULL",
        "&%s_enum" % other if field.type == F.TYPE_ENUM else "NULL", rules.name(rule) if rule else "NULL")


def message_rows(contract, message, rules, ruled):
    out, c_name = [], message.c_name
    fields = "NULL"
    if message.fields:
        fields = c_name + "_rows"
        out.append("static const struct field_desc %s[] = {\n" % fields)
        out.extend(field_row(contract, message, f, rules) for f in message.fields)
        out.append("};\n")
    real = [o for i, o in enumerate(message.desc.oneof_decl)
            if any(f.HasField("oneof_index") and f.oneof_index == i and not f.proto3_optional for f in message.fields)]
    oneofs = "NULL"
    if real:
        oneofs = c_name + "_oneofs"
        out.append("static const struct oneof_desc %s[] = {\n" % oneofs)
        for oneof in real:
            rule = contract.options.oneof_rule(oneof.options)
            out.append("    {%s, offsetof(%s, which_%s), %s},\n" % (
                text(oneof.name), c_name, oneof.name, "true" if rule and rule.required else "false"))
        out.append("};\n")
    out.append("const struct message_desc %s_desc = {%s, %s, sizeof(%s), %d, %d, WELL_KNOWN_%s, %s, %s, %s};\n" % (
        c_name, text(message.full_name), text(c_name), c_name, len(message.fields), len(real),
        WELL_KNOWN.get(message.full_name, "NONE"), "true" if message.full_name in ruled else "false",
        fields, oneofs))
    return "".join(out) + "\n"


HEAD = "/* Made by proto/generate.py from the .proto files. */\n"


def umbrella(contract):
    guard = "PICKET_%s_H" % (contract.objects or "sre_pb").upper()
    out = [HEAD, "#ifndef %s\n#define %s\n\n" % (guard, guard)]
    out += ['#include "%s"\n' % f.name.replace(".proto", ".pb.h") for f in contract.files]
    out += ['#include "common/codec/services.h"\n\n']
    out += ["extern const struct message_desc %s_desc;\n" % m.c_name for m in contract.made()]
    out += ["extern const struct enum_desc %s_enum;\n" % contract.c_name(e) for e in contract.enums]
    return "".join(out) + "\n#endif\n"


def tables(contract):
    rules, ruled = Rules(), ruled_messages(contract)
    body = []
    for name, enum in contract.enums.items():
        c_name = contract.c_name(name)
        values = sorted(enum.value, key=lambda v: v.number)
        body.append("static const struct enum_value %s_values[] = {%s};\n" % (
            c_name, ", ".join("{%s, %d}" % (text(v.name), v.number) for v in values)))
        body.append("const struct enum_desc %s_enum = {%s, %s_values, %d};\n" % (
            c_name, text(name), c_name, len(values)))
    body += [message_rows(contract, m, rules, ruled) for m in contract.made()]
    rows = "static const struct field_rule field_rules[] = {\n%s};\n\n" % "".join("    %s,\n" % r for r in rules.rows)
    includes = '#include "sre.pb.h"\n' + ('#include "%s.h"\n' % contract.objects if contract.objects else "")
    return HEAD + includes + '#include "common/codec/tables.h"\n\n' + (rows if rules.rows else "") + "".join(body)


def fnv(value):
    hashed = 2166136261
    for byte in value.encode():
        hashed = ((hashed ^ byte) * 16777619) & 0xffffffff
    return hashed


def services(contract):
    rows, paths = [], []
    for file, service, path in contract.services:
        full = "%s.%s" % (file.package, service.name)
        for i, method in enumerate(service.method):
            if method.client_streaming or method.server_streaming:
                raise Refused("%s.%s: only unary methods are supported" % (full, method.name))
            role = contract.options.role(method.options)
            if role == "ROLE_NONE":
                raise Refused("%s.%s: say which role may call it" % (full, method.name))
            pure = method.options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
            route = "/%s/%s" % (full, method.name)
            paths.append(route)
            rows.append("    {%s, %s, %s, &%s_desc, &%s_desc, %s, %s, %s},\n" % (
                text(full), text(method.name), text(route), contract.c_name(method.input_type[1:]),
                contract.c_name(method.output_type[1:]), role, "true" if pure else "false",
                text(contract.comment(file, path + (2, i)))))
    size = 1
    while size < 2 * len(paths):
        size *= 2
    places = [len(paths)] * size
    for i, route in enumerate(paths):
        at = fnv(route) & (size - 1)
        while places[at] != len(paths):
            at = (at + 1) & (size - 1)
        places[at] = i
    return (HEAD + '#include "sre.pb.h"\n#include "common/codec/tables.h"\n\nconst struct method_desc methods_table[] = {\n' +
            "".join(rows) + "};\nconst size_t methods_count = %d;\nconst uint32_t methods_hash_mask = %d;\n" % (
                len(rows), size - 1) +
            "const uint16_t methods_hash[] = {%s};\n" % ", ".join(map(str, places)))


def docs(contract):
    out, rows = [HEAD, '#include "sre.pb.h"\n#include "common/codec/tables.h"\n\n'], []
    for message in contract.messages.values():
        if message.desc.options.map_entry:
            continue
        words = []
        for field in message.fields:
            place = list(message.desc.field).index(field)
            words.append(text(contract.comment(message.file, message.path + (2, place))))
        out.append("static const char *const %s_words[] = {%s};\n" % (message.c_name, ", ".join(words) or '""'))
        rows.append("    {&%s_desc, %s, %s_words},\n" % (
            message.c_name, text(contract.comment(message.file, message.path)), message.c_name))
    return ("".join(out) + "\nconst struct message_doc message_docs[] = {\n" + "".join(rows) +
            "};\nconst size_t message_docs_count = %d;\n" % len(rows) +
            "const struct service_doc service_docs[] = {\n%s};\nconst size_t service_docs_count = %d;\n" % (
                "".join("    {%s, %s},\n" % (text("%s.%s" % (file.package, service.name)), text(contract.comment(file, path)))
                        for file, service, path in contract.services), len(contract.services)) +
            "const struct enum_desc *const enums_table[] = {%s};\nconst size_t enums_count = %d;\n" % (
                ", ".join("&%s_enum" % contract.c_name(e) for e in contract.enums), len(contract.enums)))


def read_descriptors(protoc, proto, protobuf_include):
    names = sorted(os.path.relpath(os.path.join(folder, name), proto)
                   for folder, _, found in os.walk(proto) for name in found if name.endswith(".proto"))
    with tempfile.NamedTemporaryFile(suffix=".pb") as handle:
        subprocess.run([protoc, "-I", proto, "-I", protobuf_include, "--include_imports", "--include_source_info",
                        "--descriptor_set_out=" + handle.name] + names, check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(handle.read()).file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protoc", default="protoc")
    parser.add_argument("--include", default="/usr/include", help="where google/protobuf/*.proto are")
    parser.add_argument("--nanopb", required=True, help="nanopb_generator.py")
    parser.add_argument("--proto", required=True, help="the folder that is the buf module")
    parser.add_argument("--out", required=True)
    parser.add_argument("--objects", help="another's messages, no part of the contract: the name of what is made of them")
    args = parser.parse_args()

    files = list(read_descriptors(args.protoc, args.proto, args.include))
    sys.path.insert(0, os.path.dirname(os.path.abspath(args.nanopb)))
    from proto import load_nanopb_pb2
    nanopb_pb2 = load_nanopb_pb2()

    try:
        contract = Contract(files, NoOptions() if args.objects else Options(files), args.objects)
        fed = feed_nanopb(contract, nanopb_pb2, [f for f in contract.files
                                                 if not (args.objects and f.package.startswith("google."))])
        run_nanopb(args.nanopb, fed, files, args.out)
        if args.objects:
            write(os.path.join(args.out, args.objects + ".h"), umbrella(contract))
            write(os.path.join(args.out, args.objects + "_tables.c"), tables(contract))
            return
        write(os.path.join(args.out, "sre.pb.h"), umbrella(contract))
        write(os.path.join(args.out, "sre_tables.c"), tables(contract))
        write(os.path.join(args.out, "sre_services.c"), services(contract))
        write(os.path.join(args.out, "sre_docs.c"), docs(contract))
    except Refused as refused:
        sys.exit("generate.py: " + str(refused))


if __name__ == "__main__":
    main()
