"""The contract as files, for programs in any language: ``python -m edge.contract`` (``make contract``).

Writes docs/contract/*.schema.json (JSON Schema 2020-12) and asyncapi.json (AsyncAPI 3.0) beside them, brings
the examples in docs/contract/examples up to date, and fills the marked parts of docs/events.md. All of it
comes from edge.events, edge.contract.commands and edge.contract.channels.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from edge.contract.asyncapi import asyncapi
from edge.contract.channels import CHANNELS, DAY_S
from edge.contract.commands import Answer
from edge.contract.schemas import PAYLOADS, Table, field_texts, schemas
from edge.events import EVENT_TYPES, Event, Rule

WIDTH = 108
"""Columns of an example, for people."""


def main() -> int:
    """Write what is not up to date, or with ``--check`` only name it."""
    about = "Write the contract's files."
    parser = argparse.ArgumentParser(prog="python -m edge.contract", description=about)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="the folder (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    arguments = parser.parse_args()
    page = arguments.docs / "events.md"
    if not page.is_file():
        print(f"contract: {page}: no such file; run it from the checkout", file=sys.stderr)
        return 2
    stale = [(path, text) for path, text in files(arguments.docs).items() if _read(path) != text]
    for path, text in stale:
        print(path)
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if stale and arguments.check else 0


def files(docs: Path) -> dict[Path, str]:
    """Every file of the contract as it ought to be."""
    folder = docs / "contract"
    examples = {
        path.stem: complete(path.stem, json.loads(path.read_text("utf-8"))) for path in example_paths(docs)
    }
    written = {folder / f"{name}.schema.json": _dump(schema) for name, schema in schemas().items()}
    written[folder / "asyncapi.json"] = _dump(asyncapi(examples))
    for name, table in examples.items():
        written[folder / "examples" / f"{name}.json"] = layout(table) + "\n"
    page = docs / "events.md"
    return written | {page: fill(page.read_text("utf-8"), examples)}


def example_paths(docs: Path) -> list[Path]:
    """The examples, each named after its topic's first level and what it shows: ``state.suppressed.json``."""
    return sorted((docs / "contract" / "examples").glob("*.json"))


def complete(name: str, table: Table) -> Table:
    """An example with every field that its class has now, in order; new ones get a neutral value."""
    first = name.split(".", maxsplit=1)[0]
    if first != "event":
        return _complete(PAYLOADS[first], table)
    data = table["data"]
    stamp = {item.name for item in fields(Event)} - {"id", "at", "data"}
    kept = {key: value for key, value in _complete(Event, data).items() if key in stamp}
    return table | {"data": kept | _complete(EVENT_TYPES[table["type"]], data)}


def _complete(cls: type, table: Table) -> Table:
    hints = get_type_hints(cls, include_extras=True)
    wanted = [item for item in fields(cls) if cls is not Answer or item.name in table]  # says what applies
    return {item.name: _neutral(hints[item.name], table.get(item.name, item.default)) for item in wanted}


def _neutral(hint: Any, value: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return "2026-03-02T01:00:00.000Z" if value is MISSING and args[1].moment else _neutral(args[0], value)
    if origin in (Union, UnionType):
        inner = next(arg for arg in args if arg is not NoneType)
        return None if value is MISSING or value is None else _neutral(inner, value)
    if is_dataclass(hint):
        return _complete(hint, {} if value is MISSING else value)  # type: ignore[arg-type]
    if origin is tuple:
        return [_neutral(args[0], item) for item in (() if value is MISSING else value)]
    if value is not MISSING:
        return value
    if origin is Literal:
        return args[0]
    return {} if origin is Mapping else {str: "", int: 0, float: 0.0, bool: False}.get(hint)


def layout(value: Any, indent: int = 0, used: int = 0) -> str:
    """JSON for people: on one line where that fits, else an item a line."""
    text = json.dumps(value, ensure_ascii=False)
    if indent + used + len(text) <= WIDTH or not isinstance(value, dict | list) or not value:
        return text
    inner, pad = indent + 2, "\n" + " " * (indent + 2)
    if isinstance(value, dict):
        names = {key: f"{json.dumps(key)}: " for key in value}
        items = [name + layout(value[key], inner, len(name) + 1) for key, name in names.items()]
    else:
        items = [layout(item, inner, 1) for item in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    return left + pad + f",{pad}".join(items) + "\n" + " " * indent + right


def fill(page: str, examples: Mapping[str, Table]) -> str:
    """The page with what stands between ``<!-- what: name -->`` and ``<!-- end -->`` as it ought to be."""

    def part(match: re.Match[str]) -> str:
        what, name = match["what"], match["name"]
        if what == "example":
            body = f"```json\n{layout(examples[name])}\n```"
        elif what == "fields":
            body = _field_rows(_class_called(name))
        else:
            body = _topic_rows()
        return f"{match['head']}\n\n{body}\n\n<!-- end -->"

    marked = r"(?P<head><!-- (?P<what>example|fields|topics):? ?(?P<name>[\w.-]*) -->)\n.*?<!-- end -->"
    return re.sub(marked, part, page, flags=re.DOTALL)


def _class_called(name: str) -> type:
    known = {cls.__name__: cls for cls in (*PAYLOADS.values(), *EVENT_TYPES.values(), Event)}
    known |= {
        cls.__name__: cls for top in (*PAYLOADS.values(), *EVENT_TYPES.values()) for cls in _nested(top)
    }
    return known[name]


def _nested(cls: type) -> Iterator[type]:
    for hint in get_type_hints(cls).values():
        for part in (hint, *get_args(hint)):
            for inner in (part, *get_args(part)):  # a list of objects that may be missing
                if isinstance(inner, type) and is_dataclass(inner):
                    yield inner


def _field_rows(cls: type) -> str:
    hints, texts = get_type_hints(cls, include_extras=True), field_texts(cls)
    rows = ["| field | value | |", "|---|---|---|"]
    for item in fields(cls):
        optional = "" if item.default is MISSING else " (may be missing)"
        rows.append(f"| `{item.name}` | {_words(hints[item.name])}{optional} | {texts.get(item.name, '')} |")
    return "\n".join(rows)


def _words(hint: Any) -> str:
    """A type in a reader's words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        rule: Rule = args[1]
        if rule.moment:
            return "time, UTC"
        if rule.at_most == 1:
            return "0 to 1"
        return "count" if args[0] is int else _words(args[0])
    if origin in (Union, UnionType):
        return f"{_words(next(arg for arg in args if arg is not NoneType))} or `null`"
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin is tuple:
        return f"list of {_words(args[0])}"
    if origin is Mapping:
        return f"object: text to {_words(args[1])}"
    if is_dataclass(hint):
        return f"object: {hint.__name__}"  # type: ignore[union-attr]
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}[hint]


def _topic_rows() -> str:
    rows = ["| topic | who | retained, QoS | expires | payload | |", "|---|---|---|---|---|---|"]
    for channel in CHANNELS:
        leaf = re.sub(r"{(\w+)}", r"<\1>", channel.leaf)
        expires = _span(channel.expires_s)
        kept = f"{'yes' if channel.retained else 'no'}, {channel.qos}"
        if get_origin(channel.payload) is Literal:
            payload = ", ".join(f"`{word}`" for word in get_args(channel.payload))
        else:
            payload = "JSON" if channel.payload is not Event else "CloudEvent"
        levels = f" ({', '.join(channel.levels)})" if channel.levels else ""
        who = "the kit" if channel.by == "kit" else "you"
        rows.append(f"| `{leaf}`{levels} | {who} | {kept} | {expires} | {payload} | {channel.about} |")
    return "\n".join(rows)


def _span(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds // DAY_S} d" if seconds >= DAY_S else f"{seconds} s"


def _dump(value: Table) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
