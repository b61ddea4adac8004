"""A site: one school's broker, its own certificate authority, and who may do what there.

    authority    keys, certificates, the list of revoked ones      (X.509; no file, no clock)
    access       members -> Mosquitto's access list and passwords   (pure)
    folder       all of it on disk, and what `suasana site` does to it
    door         lets invited kits in: `suasana site invite`
    registrar    open all the time, to members only: their next certificates, invitations for a dashboard
    command      the command line

The kit's side is edge.pair.
"""
