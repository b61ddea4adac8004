"""Prints every room's mood: ``python subscribe.py [HOST [PORT]]``. Needs paho-mqtt 2, nothing of Suasana."""

import json
import sys

import paho.mqtt.client as mqtt

seen = set()


def on_connect(client, _data, _flags, reason, _properties):
    if reason.is_failure:
        sys.exit(f"the broker refused: {reason}")
    client.subscribe("suasana/+/event", qos=1)


def on_message(_client, _data, message):
    event = json.loads(message.payload)
    if event["type"] == "suasana.mood.v1" and event["id"] not in seen:  # an event may be told twice
        seen.add(event["id"])
        told = event["data"]
        shares = ", ".join(f"{label} {share:.0%}" for label, share in told["shares"].items() if share)
        print(event["time"], told["kit"], told["mood"] or told["suppressed"], shares, flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect, client.on_message = on_connect, on_message
client.connect(*(sys.argv[1:2] or ["127.0.0.1"]), *(int(port) for port in sys.argv[2:3]))
client.loop_forever()
