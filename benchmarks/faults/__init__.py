"""Proof under faults: the real daemon, a real Mosquitto, an independent subscriber, and things breaking.

``python -m benchmarks.faults`` kills the broker and the daemon, fills the disk, tears the outbox, steps the
clock, takes the camera's file away, sends garbage and runs a day at speed. What was made is known from the
daemon's own JSON lines, written after each event went into the outbox; what arrived, from a subscriber that
shares no code with the kit. The claim: no event lost, none told twice with different content, every gap
countable, memory flat, no descriptor leaked.
"""
