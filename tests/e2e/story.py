# SPDX-License-Identifier: Apache-2.0
"""tests/clients/examples.json in Python: its words filled in, its requests varied field by field along the schemas of
/openapi.json, so that a field which is new is varied too."""
import copy
import json
import re
import time

from harness import TOP

# An id of whatever it may be: these forms, or a name that says so. Page tokens are ids of where a page ended.
ID_PATTERNS = {"^[A-Za-z0-9._-]{1,128}$", "^(?=.*[a-z0-9])[a-z0-9.-]{1,64}$"}
ID_NAMES = re.compile(r"(^id|Ids?|^agents?|^revises|^supersededBy|Token|^cluster|^environment)$")


def examples():
    return json.loads((TOP / "tests/clients/examples.json").read_text(encoding="utf-8"))


def fill(value, words):
    """{id} and the other words by their values, {now+60} by a time."""
    if isinstance(value, str):
        def word(match):
            if match[1] == "now":
                return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(words["now"] + int(match[2] or 0)))
            return str(words.get(match[1], match[0]))
        return re.sub(r"\{(\w+)([+-]\d+)?\}", word, value)
    if isinstance(value, list):
        return [fill(one, words) for one in value]
    if isinstance(value, dict):
        return {key: fill(one, words) for key, one in value.items()}
    return value


def missing(expected, found, where="answer"):
    """Where what is expected is not found; None when all is there."""
    if expected == "*":
        return None if found else f"{where} is missing"
    if isinstance(expected, list):
        for one in expected:
            if not any(missing(one, item) is None for item in found or []):
                return f"{where} has no item like {one}: {str(found)[:600]}"
        return None
    if isinstance(expected, dict):
        return next((said for key, one in expected.items()
                     for said in [missing(one, found.get(key), f"{where}.{key}") if isinstance(found, dict) else f"{where} is {found!r}"] if said), None)
    return None if expected == found else f"{where} is {found!r}, not {expected!r}"


def pick(answer, path):
    for part in path.split("."):
        answer = answer[int(part)] if part.isdigit() else answer[part]
    return answer


def substitute(value, table):
    """Texts that are a key of the table by what stands there."""
    if isinstance(value, list):
        return [substitute(one, table) for one in value]
    if isinstance(value, dict):
        return {key: substitute(one, table) for key, one in value.items()}
    return table.get(value, value) if isinstance(value, str) else value


class Schemas:
    """Requests along the schemas of an OpenAPI document."""

    def __init__(self, document):
        self.schemas = document["components"]["schemas"]
        self.methods = {}
        for path, item in document["paths"].items():
            service, _, name = path.removeprefix("/").partition("/")
            if "." in service:
                self.methods[f"{service.rsplit('.', 1)[1]}/{name}"] = {
                    "path": path.removeprefix("/"), "role": item["post"]["x-picket-role"], "get": "get" in item,
                    "request": item["post"]["requestBody"]["content"]["application/json"]["schema"]}

    def resolve(self, schema):
        return self.schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema

    def id_fields(self, schema, name="", path=()):
        """Paths of all that is an id in a request; None in a path: the item of a list."""
        schema = self.resolve(schema)
        kind = schema.get("type")
        if kind == "object":
            for key, one in schema.get("properties", {}).items():
                yield from self.id_fields(one, key, path + (key,))
        elif kind == "array":
            yield from self.id_fields(schema["items"], name, path + (None,))
        elif "enum" not in schema and (schema.get("pattern") in ID_PATTERNS or ID_NAMES.search(name)):
            if kind == "string" or (isinstance(kind, list) and name.endswith("Id")):
                yield path

    def least(self, schema, now):
        """The least that the schema asks for."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return schema["enum"][1]
        kind = schema.get("type")
        if kind == "object":
            return {key: self.least(schema["properties"][key], now) for key in schema.get("required", [])}
        if kind == "array":
            return []
        if kind == "boolean":
            return False
        if kind == "string":
            return fill("{now}", {"now": now}) if schema.get("format") == "date-time" else "x" * max(1, schema.get("minLength", 1))
        return 1

    def with_id(self, schema, request, path, value, now):
        """A copy of the request with the value at the path, and around it what the schema asks for."""
        request = copy.deepcopy(request)
        at, schema = request, self.resolve(schema)
        for i, key in enumerate(path):
            last = i == len(path) - 1
            below = self.resolve(schema["items"] if key is None else schema["properties"][key])
            if key is None:
                if last:
                    at[:] = [value]
                    break
                if not at:
                    at.append(self.least(below, now))
                at = at[0]
            elif last:
                at[key] = value
            else:
                at = at.setdefault(key, self.least(below, now))
            schema = below
        return request
