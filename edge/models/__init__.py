"""The models on the kit: which one counts, how a new one comes, and how a bad one goes again.

    a file or URL ─► download ─► package ─► install ─► shelf ─► choice ─► the kit
                     (bytes)    (signature)  (goldens)    ▲        │
                                                          └─ trial ◄┘

``download`` brings bytes and believes nothing. ``package`` judges the signature and opens the archive.
``install`` holds the new model against the one in use, asks it the ``goldens`` on this board, and puts it
on the ``shelf``, where one file per model tells which version counts. At a start ``choice`` takes that one,
or the shipped one in the top-level folder models/; ``trial`` watches it in use and goes back to the one
before when it fails. ``catalogue`` is what ``suasana models`` does with all of these. ``weights`` stands
beside them: files that others made (detectors, the speech gate), fetched once at set-up by their sha256.

Nothing is imported here, so that who needs the weights alone (set-up, training) does not load the rest.
"""
