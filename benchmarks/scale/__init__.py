"""Rungs under load: a room, a school, a district; raised until something is full; and with parts killed.

    stage        the programs of a rung: started, killed, spoken to
    cluster      RabbitMQ's three nodes and PostgreSQL
    rungs        what stands on each rung, as its configuration in the repository has it
    witness      what was made, stored and shown, read by somebody who shares no code with those who wrote it
    gauge        who is how busy, by what the kernel tells of every thread
    course       one crowd of simulated kits, from the arrival of the last to the last event stored
    ramp         ever more, until the first part is full
    faults       a node, the database, an ingester killed in the middle
    measure      all of that for one rung
    paper        100,000 kits, computed from what was measured
    names, drawing, page
                 docs/scale.md

``python -m benchmarks.scale`` runs all of it and writes results/scale.json and the page.
"""
