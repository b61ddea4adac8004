"""What rungs and parts are called on the page, and their colours."""

from __future__ import annotations

PARTS = {
    "broker": "broker",
    "node": "RabbitMQ, 3 nodes",
    "ingest": "ingesters",
    "postgres": "PostgreSQL",
    "page": "page",
}
NAMES = PARTS | {
    "simulate": "the simulated kits",
    "machine": "the machine",
    "others": "the machine, by other programs",
    "room": "room, embedded broker",
    "mosquitto": "room, Mosquitto",
    "school": "school",
    "district": "district",
    "queues": "district, 3 queues",
}
COLOURS = {
    "broker": "#2a6f97",
    "node": "#2a6f97",
    "ingest": "#e09f3e",
    "postgres": "#6a994e",
    "page": "#9e2a2b",
}
