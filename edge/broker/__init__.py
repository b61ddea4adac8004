"""The way to a broker: found, trusted, looked at; and a small one for a single room.

``beacon`` finds one by mDNS, ``certificates`` say whom to trust, an ``invitation`` brings a kit that has none
yet, a ``visit`` asks as somebody else than the daemon, and ``embedded`` is the broker of the demo.
"""
