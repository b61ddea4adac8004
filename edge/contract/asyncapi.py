"""The contract as one AsyncAPI 3.0 document, seen from the kit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass

from edge.contract.channels import CHANNELS, Channel
from edge.contract.schemas import Book, Table, define_events
from edge.events import BASE, EVENT_TYPES, KIT_NAME, SCHEMA, Event

ABOUT = """What a classroom kit says over MQTT, and what it can be told. docs/events.md is the page for \
people. Within a schema version changes only add."""


def asyncapi(examples: Mapping[str, Table]) -> Table:
    """The document, with *examples* by their names (``state.suppressed``)."""
    book = Book("#/components/schemas/")
    kinds = list(define_events(book))
    messages: dict[str, Table] = {}
    channels: dict[str, Table] = {}
    operations: dict[str, Table] = {}
    for channel in CHANNELS:
        name = _channel_name(channel)
        told = {}
        for title, schema in _payloads(channel, book, kinds):
            messages[title] = _message(channel, title, schema, examples)
            told[title] = {"$ref": f"#/components/messages/{title}"}
        channels[name] = _channel(channel, told)
        verb = "tell" if channel.by == "kit" else "obey"
        if channel.leaf.split("/")[0] != "response":
            operations[f"{verb}{name[0].upper()}{name[1:]}"] = _operation(channel, name, list(told))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Suasana",
            "version": f"{SCHEMA}.0.0",
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": book.defined},
    }


def _channel_name(channel: Channel) -> str:
    if channel.leaf == "source/{source}/status" or "{" not in channel.leaf:
        first, *more = channel.name.split("-")
        return first + "".join(word.capitalize() for word in more)
    return channel.leaf.split("/")[0]


def _payloads(channel: Channel, book: Book, kinds: list[str]) -> Iterator[tuple[str, Table]]:
    if channel.payload is Event:
        yield from ((name, {"$ref": f"{book.prefix}{name}"}) for name in kinds)
    elif isinstance(channel.payload, type) and is_dataclass(channel.payload):
        yield channel.payload.__name__, book.of(channel.payload)
    else:
        name = _channel_name(channel)
        yield f"{name[0].upper()}{name[1:]}", book.of(channel.payload)


def _message(channel: Channel, title: str, schema: Table, examples: Mapping[str, Table]) -> Table:
    message: Table = {
        "name": title,
        "title": channel.about,
        "contentType": channel.content_type,
        "payload": schema,
        "bindings": {"mqtt": {"payloadFormatIndicator": 1, "contentType": channel.content_type}},
    }
    shown = [
        {"name": name, "payload": table}
        for name, table in examples.items()
        if name.split(".")[0] == channel.name
        and (channel.payload is not Event or f"{EVENT_TYPES[table['type']].__name__}Event" == title)
    ]
    return message | ({"examples": shown} if shown else {})


def _channel(channel: Channel, told: dict[str, Table]) -> Table:
    name = re.search(r"{(\w+)}", channel.leaf)
    parameters: Table = {"kit": {"description": f"The kit's name: {KIT_NAME.pattern}"}}
    if name:
        parameters[name[1]] = {"enum": list(channel.levels)}
    return {
        "address": f"{BASE}/{{kit}}/{channel.leaf}",
        "description": channel.about,
        "parameters": parameters,
        "messages": told,
    }


def _operation(channel: Channel, name: str, told: list[str]) -> Table:
    binding: Table = {"qos": channel.qos, "retain": channel.retained}
    if channel.expires_s is not None:
        binding["messageExpiryInterval"] = channel.expires_s
    operation: Table = {
        "action": "send" if channel.by == "kit" else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel.about,
        "messages": [{"$ref": f"#/channels/{name}/messages/{title}"} for title in told],
        "bindings": {"mqtt": binding},
    }
    if channel.by == "reader":
        operation["reply"] = {
            "channel": {"$ref": "#/channels/response"},
            "messages": [{"$ref": "#/channels/response/messages/Answer"}],
        }
    return operation
