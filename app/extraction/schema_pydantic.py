"""Schemas from the source of Pydantic models, which is parsed and never run, and back.

The last model of a file is the schema; models that it mentions become groups and tables.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from app.extraction.schema import Field, FieldType, Schema, check_schema
from app.extraction.schema_json import from_json_schema
from engine.errors import GatehouseError

_MAX_SOURCE: Final = 1 << 20
_TYPES: Final = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "Decimal": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date"},
    "EmailStr": {"type": "string", "format": "email"},
    "Any": {"type": "string"},
}
_LISTS: Final = frozenset({"list", "List", "Sequence", "tuple", "Tuple", "set", "Set"})
_PYTHON: Final = {
    FieldType.NUMBER: "Decimal",
    FieldType.AMOUNT: "Decimal",
    FieldType.DATE: "date",
    FieldType.BOOLEAN: "bool",
}


def from_pydantic(source: str, name: str = "") -> Schema:
    """The schema that the last model of a source describes.

    Raises:
        GatehouseError: it is no Python, has no model, or a type that cannot be looked for.
    """
    if len(source) > _MAX_SOURCE:
        raise _refusal(f"The source has {len(source):,} characters; {_MAX_SOURCE:,} are the most.")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise GatehouseError("invalid_schema", f"This is no Python source: {error}.", "Check the file.") from error
    reader = _Models(tree)
    return from_json_schema(reader.as_json(), name)


class _Models:
    def __init__(self, tree: ast.Module) -> None:
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self._enums = {one.name: one for one in classes if any("Enum" in ast.unparse(base) for base in one.bases)}
        known: dict[str, ast.ClassDef] = {}
        for one in classes:
            bases = {ast.unparse(base).split(".")[-1] for base in one.bases}
            if "BaseModel" in bases or bases & known.keys():
                known[one.name] = one
        self._models = known
        if not known:
            raise _refusal("The source has no class that is a BaseModel.")

    def as_json(self) -> str:
        """JSON Schema of the last model."""
        import json

        last = list(self._models)[-1]
        return json.dumps({"title": last, **self._object(self._models[last], (last,))})

    def _object(self, model: ast.ClassDef, path: tuple[str, ...]) -> dict[str, object]:
        properties: dict[str, object] = {}
        required = []
        for statement in self._statements(model):
            if isinstance(statement.target, ast.Name):
                key = statement.target.id
                notes, has_default = _notes(statement.value)
                made, optional = self._type(statement.annotation, path)
                properties[key] = {**made, **notes}
                if not (optional or has_default):
                    required.append(key)
        text = ast.get_docstring(model)
        about = {"description": text} if text else {}
        return {"type": "object", "properties": properties, "required": required, **about}

    def _statements(self, model: ast.ClassDef) -> Iterator[ast.AnnAssign]:
        """Of the model and of those that it extends, theirs first."""
        for base in model.bases:
            above = self._models.get(ast.unparse(base))
            if above is not None and above is not model:
                yield from self._statements(above)
        for statement in model.body:
            if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement.annotation):
                yield statement

    def _type(self, node: ast.expr, path: tuple[str, ...]) -> tuple[dict[str, object], bool]:
        """The JSON Schema of an annotation, and whether it may be ``None``."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._union([node.left, node.right], path)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, path)
        name = ast.unparse(node).split(".")[-1]
        if name in self._models:
            if name in path:
                raise _refusal(f"{name} holds itself, which a document cannot show.")
            return self._object(self._models[name], (*path, name)), False
        if name in self._enums:
            values = [one.value for one in self._enums[name].body if isinstance(one, ast.Assign)]
            return {"enum": [one.value for one in values if isinstance(one, ast.Constant)]}, False
        if name not in _TYPES:
            raise _refusal(f"{name!r} is no type that can be looked for in a document.")
        return dict(_TYPES[name]), False

    def _union(self, nodes: list[ast.expr], path: tuple[str, ...]) -> tuple[dict[str, object], bool]:
        real = [one for one in nodes if not (isinstance(one, ast.Constant) and one.value is None)]
        if len(real) != 1:
            raise _refusal(f"{' | '.join(map(ast.unparse, nodes))[:80]} is more than one type.")
        made, optional = self._type(real[0], path)
        return made, optional or len(real) < len(nodes)

    def _subscript(self, node: ast.Subscript, path: tuple[str, ...]) -> tuple[dict[str, object], bool]:
        outer = ast.unparse(node.value).split(".")[-1]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Optional":
            return self._type(inner[0], path)[0], True
        if outer == "Union":
            return self._union(inner, path)
        if outer == "Annotated":
            return self._type(inner[0], path)
        if outer == "Literal":
            return {"enum": [one.value for one in inner if isinstance(one, ast.Constant)]}, False
        if outer in _LISTS:
            return {"type": "array", "items": self._type(inner[0], path)[0]}, False
        raise _refusal(f"{ast.unparse(node)[:80]} is no type that can be looked for in a document.")


def _notes(value: ast.expr | None) -> tuple[dict[str, object], bool]:
    """What ``Field(...)`` says about a field, and whether it has a default."""
    if value is None:
        return {}, False
    if not (isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "Field"):
        return {}, True
    notes: dict[str, object] = {}
    has_default = bool(value.args) and not (isinstance(value.args[0], ast.Constant) and value.args[0].value is ...)
    for keyword in value.keywords:
        if keyword.arg in ("default", "default_factory"):
            has_default = True
        if keyword.arg in ("title", "description", "examples"):
            try:
                notes[keyword.arg] = ast.literal_eval(keyword.value)
            except ValueError:
                continue  # made by a call: it says nothing here
    return notes, has_default


def to_pydantic(schema: Schema) -> str:
    """The source of Pydantic models for what an extraction gives."""
    check_schema(schema)
    classes: list[str] = []
    _class(_camel(schema.name), schema.description, schema.fields, classes)
    head = "from datetime import date\nfrom decimal import Decimal\nfrom typing import Literal\n\n"
    return head + "from pydantic import BaseModel, Field\n\n\n" + "\n\n".join(classes)


def _class(name: str, about: str, fields: tuple[Field, ...], classes: list[str]) -> None:
    lines = [f"class {name}(BaseModel):"]
    if about:
        lines += [f"    {about!r}", ""]
    for field in fields:
        kind = _annotation(field, name, classes)
        notes = f", description={field.description!r}" if field.description else ""
        notes += f", examples=[{field.example!r}]" if field.example else ""
        lines.append(f"    {field.name}: {kind} | None = Field(default=None{notes})")
    classes.append("\n".join(lines) + "\n")


def _annotation(field: Field, above: str, classes: list[str]) -> str:
    if field.type in (FieldType.TABLE, FieldType.GROUP):
        name = f"{above}{_camel(field.name)}"
        _class(name, field.description, field.fields, classes)
        return f"list[{name}]" if field.type is FieldType.TABLE else name
    if field.choices:
        single = f"Literal[{', '.join(map(repr, field.choices))}]"
    else:
        single = _PYTHON.get(field.item_type if field.type is FieldType.LIST else field.type, "str")
    return f"list[{single}]" if field.type is FieldType.LIST else single


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _refusal(sentence: str) -> GatehouseError:
    return GatehouseError("invalid_schema", sentence, "A schema is a Pydantic model of named fields.")
