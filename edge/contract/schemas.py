"""JSON Schema 2020-12 from the payload classes: their types, their rules and the texts under their fields."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from edge.contract.channels import CHANNELS
from edge.contract.commands import (
    Answer,
    LearnRequest,
    ModelRequest,
    PartRequest,
    Request,
    RoundRequest,
    SettingsRequest,
)
from edge.events import (
    BASE,
    EVENT_TYPES,
    SCHEMA,
    Event,
    Health,
    Info,
    Practice,
    Rule,
    SourceDetail,
    State,
)

PAYLOADS: Mapping[str, type] = {
    "info": Info,
    "state": State,
    "health": Health,
    "source-detail": SourceDetail,
    "practice": Practice,
    "request-practice-round": RoundRequest,
    "request-practice-learn": LearnRequest,
    "request-settings-change": SettingsRequest,
    "request-model-part": PartRequest,
    "request-model-rollback": ModelRequest,
    "request": Request,
    "response": Answer,
}
"""The name of a channel and what is told there as plain JSON; ``event`` has an envelope besides."""

Table = dict[str, Any]


def schemas() -> dict[str, Table]:
    """A self-contained JSON Schema for each payload, by the name of its file."""
    found: dict[str, Table] = {}
    for name, cls in PAYLOADS.items():
        book = Book("#/$defs/")
        found[name] = _root(name, book.of_class(cls), book)
    book = Book("#/$defs/")
    kinds = [{"$ref": f"#/$defs/{name}"} for name in define_events(book)]
    found["event"] = _root("event", {"description": _about(Event), "oneOf": kinds}, book)
    for channel in CHANNELS:
        if get_origin(channel.payload) is Literal:
            about = {"description": f"The bare word, not JSON: {channel.about}."}
            found[channel.name] = _root(channel.name, about | Book("").of(channel.payload), Book(""))
    return found


def _root(name: str, schema: Table, book: Book) -> Table:
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{BASE}:{SCHEMA}:{name}",
        "title": name,
    }
    return head | schema | ({"$defs": book.defined} if book.defined else {})


@dataclass(slots=True)
class Book:
    """Turns types into schemas, and keeps those that are used by name."""

    prefix: str
    """Where the named ones will stand: ``#/$defs/`` or ``#/components/schemas/``."""
    defined: dict[str, Table] = field(default_factory=dict)

    def of(self, hint: Any) -> Table:
        """The schema of a field's type."""
        origin, args = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.of(args[0]) | _ruled(args[1])
        if isinstance(hint, type) and is_dataclass(hint):
            self.define(hint.__name__, lambda: self.of_class(hint))
            return {"$ref": self.prefix + hint.__name__}
        if origin in (Union, UnionType):
            inner = self.of(next(arg for arg in args if arg is not NoneType))
            if set(inner) & {"$ref", "enum"}:
                return {"anyOf": [inner, {"type": "null"}]}
            return inner | {"type": [inner["type"], "null"]}
        if origin is Literal:
            return {"type": "string", "enum": list(args)}
        if origin is tuple:
            return {"type": "array", "items": self.of(args[0])}
        if origin is Mapping:
            return {"type": "object", "additionalProperties": self.of(args[1])}
        return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[hint]}

    def of_class(self, cls: type) -> Table:
        """The schema of an object. Unknown keys are allowed: a later version may add some."""
        return _object(_about(cls), *self.fields_of(cls))

    def fields_of(self, cls: type, leave_out: tuple[str, ...] = ()) -> tuple[dict[str, Table], list[str]]:
        """Properties, and the names of those that must be there."""
        hints, texts = get_type_hints(cls, include_extras=True), field_texts(cls)
        kept = [item for item in fields(cls) if item.name not in leave_out]
        properties = {}
        for item in kept:
            text = texts.get(item.name)
            properties[item.name] = ({"description": text} if text else {}) | self.of(hints[item.name])
        return properties, [item.name for item in kept if item.default is MISSING]

    def define(self, name: str, make: Callable[[], Table]) -> None:
        """Keep a schema under *name*, once."""
        if name not in self.defined:
            self.defined[name] = {}
            self.defined[name] = make()


def _object(about: str, properties: dict[str, Table], required: list[str]) -> Table:
    return {"description": about, "type": "object", "properties": properties, "required": required}


def _ruled(rule: Rule) -> Table:
    found: Table = {}
    if rule.at_least is not None:
        found["minimum"] = rule.at_least
    if rule.at_most is not None:
        found["maximum"] = rule.at_most
    if rule.shortest:
        found["minLength"] = rule.shortest
    if rule.moment:
        found["format"] = "date-time"
    return found


def define_events(book: Book) -> Iterator[str]:
    """One schema per type of event: the envelope, and its data with the stamp. Yields their names."""
    texts = field_texts(Event)
    source = {"description": f"`{BASE}/<kit>`", "type": "string", "format": "uri-reference", "minLength": 1}
    for kind, cls in EVENT_TYPES.items():
        stamp, stamp_required = book.fields_of(Event, leave_out=("id", "at", "data"))
        data, data_required = book.fields_of(cls)
        properties: dict[str, Table] = {
            "specversion": {"const": "1.0"},
            "id": {"description": texts["id"], "type": "string", "minLength": 1},
            "source": source,
            "type": {"const": kind},
            "time": {"description": texts["at"], "type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": _object(_about(cls), stamp | data, stamp_required + data_required),
        }
        book.defined[f"{cls.__name__}Event"] = _object(_about(cls), properties, list(properties))
        yield f"{cls.__name__}Event"


@cache
def field_texts(cls: type) -> Mapping[str, str]:
    """The text under each field of a class, as one line."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    texts = {}
    for item, after in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(item, ast.AnnAssign)
            and isinstance(item.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            texts[item.target.id] = _plain(str(after.value.value))
    return texts


def _about(cls: type) -> str:
    return _plain(cls.__doc__ or "")


def _plain(text: str) -> str:
    text = re.sub(r"\bNone\b", "null", text.replace("``", "`"))  # the schemas' readers know JSON
    return re.sub(r"\s+", " ", text).strip()
