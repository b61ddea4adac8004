"""Many kits in one process, for load tests: real protocol and real event code, made-up classes.

``suasana simulate --kits 1000`` runs them against any broker. Each has the kit's own MQTT sink with birth,
will, retained values and outbox; a storm cuts their connections, and they come back as kits do.
"""
