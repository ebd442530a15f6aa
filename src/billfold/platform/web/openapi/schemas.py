"""The schemas of every type in the document, as msgspec writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from billfold.platform.web.openapi.described import Described
from billfold.platform.web.problems import Problem

#: How a schema of the document is pointed at.
REFERENCE = "#/components/schemas/{name}"
#: How msgspec names a generic struct: Page[Wallet] is Page_Wallet_.
_GENERIC = re.compile(r"^([A-Za-z]+)_([A-Za-z]+)_$")


class Schemas:
    """The schema of each type, and of each parameter."""

    def __init__(self, described: Iterable[Described]) -> None:
        types: list[Any] = [Problem]
        for one in described:
            types += (
                found
                for found in (one.shape.command, one.shape.parameters, one.shape.answer, *one.later)
                if found is not None
            )
        # The same type may stand in several operations; msgspec wants it once.
        self._types = list({repr(found): found for found in types}.values())
        found, components = msgspec.json.schema_components(self._types, ref_template=REFERENCE)
        renamed = {name: _GENERIC.sub(r"\2\1", name) for name in components}
        self._found = {repr(form): _renamed(schema, renamed) for form, schema in zip(self._types, found, strict=True)}
        components = {renamed[name]: _renamed(schema, renamed) for name, schema in components.items()}
        self._parameters: dict[str, Any] = {}
        for one in described:
            if one.shape.parameters is not None:
                name = _name_of(self.of(one.shape.parameters))
                self._parameters.setdefault(repr(one.shape.parameters), components.get(name))
        for form in {repr(one.shape.parameters) for one in described if one.shape.parameters is not None}:
            # What only the query strings use is written out where it is used.
            components.pop(_name_of(self._found[form]), None)
        self.components = dict(sorted(components.items()))

    def of(self, form: Any) -> dict[str, Any]:
        """The schema of a type; mostly a reference."""
        found: dict[str, Any] = self._found[repr(form)]
        return found

    def query(self, form: type[msgspec.Struct] | None) -> Iterator[dict[str, Any]]:
        """Each field of a struct as a query parameter."""
        if form is None:
            return
        described = self._parameters[repr(form)]
        for name, field in described["properties"].items():
            schema = _without_null(field)
            inner = {key: value for key, value in schema.items() if key not in {"description", "examples"}}
            parameter = {
                "name": name,
                "in": "query",
                "required": name in described.get("required", ()),
                "schema": inner,
            }
            if "description" in schema:
                parameter["description"] = schema["description"]
            if "examples" in schema:
                parameter["example"] = schema["examples"][0]
            yield parameter


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a query parameter can be: it is there as a text, or it is not there."""
    kinds = [inner for inner in schema.get("anyOf", ()) if inner != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**kinds[0], **rest}


def _name_of(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """`schema` with its references pointing to the new names."""
    if isinstance(schema, dict):
        return {key: _renamed(value, names) for key, value in schema.items()} | (
            {"$ref": REFERENCE.format(name=names[_name_of(schema)])} if "$ref" in schema else {}
        )
    if isinstance(schema, list):
        return [_renamed(item, names) for item in schema]
    return schema
