"""What is said over MQTT beside edge.events, and how the contract is written down for readers.

``commands`` are what a kit is told and answers; ``channels`` is the table of topics that the MQTT sink obeys.
From both ``schemas`` and ``asyncapi`` are made, and ``pages`` keeps docs/contract and docs/events.md right.
"""
