"""A district: many schools' kits on one clustered broker, one history for all, each school seeing its own.

    sites        which site a kit belongs to, and what a site may do at the broker  (pure)
    sorting      messages -> rows, or aside with the reason                         (pure)
    schema.sql   the tables: a partition per day, row-level security per site
    store        PostgreSQL: days made and dropped, a batch written in one transaction
    queue        RabbitMQ: a batch from the quorum queue, acknowledged after the commit
    ingest       the loop between the two; as many beside each other as one likes
    command      python -m dashboard.district setup | queue | site | kits | ingest | tend

The page itself is the same program as in a single room: in its site's schema it finds a view named windows,
and leaves the writing to the ingesters.
"""
