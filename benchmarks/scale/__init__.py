"""Three rungs under load: a room, a school, a district; and a district whose parts are killed.

    stage        the programs of a rung, as its configuration in the repository has them; what they cost
    cluster      RabbitMQ's three nodes and PostgreSQL
    witness      what was stored and shown, read by somebody who shares no code with those who wrote it
    rungs        a load on each rung
    faults       a node, the database, an ingester killed in the middle
    paper        100,000 kits, computed from what was measured
    page         docs/scale.md

``python -m benchmarks.scale`` runs all of it and writes results/scale.json and the page.
"""
