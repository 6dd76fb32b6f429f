"""As much of JSON Schema 2020-12 as OpenAPI documents of ours use: what a value has that its schema does not allow."""

import re
from collections.abc import Iterator
from typing import Any

TYPES = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None), "array": list,
    "object": dict,
}  # fmt: skip
UNDERSTOOD = {
    "$ref", "additionalProperties", "anyOf", "default", "description", "enum", "format", "items", "maximum", "minimum",
    "pattern", "properties", "required", "title", "type",
}  # fmt: skip


def mistakes(value: Any, schema: Any, document: dict[str, Any], where: str = "$") -> Iterator[str]:
    if schema is True or schema == {}:
        return
    assert set(schema) <= UNDERSTOOD, set(schema) - UNDERSTOOD
    if "$ref" in schema:
        yield from mistakes(value, resolve(schema["$ref"], document), document, where)
        return
    if "anyOf" in schema:
        tried = [list(mistakes(value, one, document, where)) for one in schema["anyOf"]]
        if all(tried):
            yield from tried[0]
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))
    ):
        yield f"{where}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} does not match"
    if kind == "array":
        for number, part in enumerate(value):
            yield from mistakes(part, schema.get("items", True), document, f"{where}[{number}]")
    if kind == "object":
        known = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                yield f"{where}: {name} is missing"
        for name, part in value.items():
            # A field that the document does not name is a mistake of the document, although JSON Schema allows it.
            other = schema.get("additionalProperties", not known)
            if name in known:
                yield from mistakes(part, known[name], document, f"{where}.{name}")
            elif other is False:
                yield f"{where}: {name} is not in the document"
            else:
                yield from mistakes(part, other, document, f"{where}.{name}")


def resolve(reference: str, document: dict[str, Any]) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def all_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from all_references(part)
    elif isinstance(value, list):
        for part in value:
            yield from all_references(part)
