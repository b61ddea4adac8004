"""Suasana on the kit: the mood of a room, read where it happens.

    sources ─► flow ─► faces ─► expression ─┐
       │                                     ├─► flow ─► mood ─► events ─► sinks ─► dashboard
       └─────► flow ─► vad ───► tone ───────┘

Pictures and sound live left of mood and end there: events, sinks and the dashboard cannot even import them.
"""

__version__ = "0.1.0"
