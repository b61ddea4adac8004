-- The history of a district. `python -m dashboard.district setup` runs this as the tables' owner; again is harmless.
--
-- A kit's events are numbered, and what is stored is known by (kit, boot_id, seq). A unique index over partitions has
-- to hold the partition key, so the key is a part of the event itself that never changes, however often it is told:
-- the day of the kit's own time, or 1970-01-01 where the kit did not know the time. Where a window belongs in time
-- (`ends`) may still change, once the kit knows.

CREATE SCHEMA IF NOT EXISTS suasana;

CREATE TABLE IF NOT EXISTS suasana.windows (
  day DATE NOT NULL,
  site TEXT NOT NULL,
  kit TEXT NOT NULL, boot_id TEXT NOT NULL, seq BIGINT NOT NULL,
  ends DOUBLE PRECISION NOT NULL,
  window_s DOUBLE PRECISION NOT NULL,
  mood TEXT, suppressed TEXT, confidence DOUBLE PRECISION NOT NULL, people BIGINT NOT NULL,
  shares TEXT NOT NULL,
  mono_s DOUBLE PRECISION, mono_id TEXT NOT NULL DEFAULT '',
  dated BIGINT NOT NULL DEFAULT 1,
  came DOUBLE PRECISION,
  PRIMARY KEY (kit, boot_id, seq, day)
) PARTITION BY RANGE (day);
-- When it was told: what says 1970, because its kit did not know the time, is no older than that. Newer than the table.
ALTER TABLE suasana.windows ADD COLUMN IF NOT EXISTS came DOUBLE PRECISION;
CREATE INDEX IF NOT EXISTS windows_by_time ON suasana.windows (kit, ends);
-- A site that keeps less than the district asks every hour whether anything is older: a range index answers that
-- from a few pages, and costs nothing while rows come in nearly in order.
CREATE INDEX IF NOT EXISTS windows_by_age ON suasana.windows USING brin (ends);
CREATE INDEX IF NOT EXISTS windows_to_place ON suasana.windows (kit, mono_id) WHERE dated = 0;

-- Everything else that kits tell once: sessions, clocks, alerts. With it the numbers of a boot are complete.
CREATE TABLE IF NOT EXISTS suasana.happenings (
  day DATE NOT NULL,
  site TEXT NOT NULL,
  kit TEXT NOT NULL, boot_id TEXT NOT NULL, seq BIGINT NOT NULL,
  at DOUBLE PRECISION NOT NULL,
  type TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kit, boot_id, seq, day)
) PARTITION BY RANGE (day);

CREATE TABLE IF NOT EXISTS suasana.kits (kit TEXT PRIMARY KEY, site TEXT NOT NULL, since TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS kits_by_site ON suasana.kits (site);

-- One moment on both clocks of a start of a kit's machine, once the kit knew the time: it places its undated windows.
CREATE TABLE IF NOT EXISTS suasana.clocks (
  kit TEXT NOT NULL, mono_id TEXT NOT NULL, ahead_s DOUBLE PRECISION NOT NULL, at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (kit, mono_id)
);

-- Messages that cannot be stored: looked at by a person, never in the way of others.
CREATE TABLE IF NOT EXISTS suasana.refused (
  digest TEXT PRIMARY KEY,
  topic TEXT NOT NULL, reason TEXT NOT NULL, body BYTEA NOT NULL, bytes BIGINT NOT NULL,
  times BIGINT NOT NULL DEFAULT 1,
  first_at TIMESTAMPTZ NOT NULL DEFAULT now(), last_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Days. Ingesters may make them, but own nothing.
CREATE OR REPLACE FUNCTION suasana.make_day(wanted DATE) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name TEXT; starts TEXT; ends TEXT; table_name TEXT;
BEGIN
  IF wanted = DATE '1970-01-01' THEN
    name := 'undated'; starts := 'MINVALUE'; ends := quote_literal('1970-01-02');
  ELSE
    name := to_char(wanted, 'YYYYMMDD'); starts := quote_literal(wanted); ends := quote_literal(wanted + 1);
  END IF;
  FOREACH table_name IN ARRAY ARRAY['windows', 'happenings'] LOOP
    IF to_regclass('suasana.' || table_name || '_' || name) IS NULL THEN
      EXECUTE format('CREATE TABLE suasana.%I PARTITION OF suasana.%I FOR VALUES FROM (%s) TO (%s)',
                     table_name || '_' || name, table_name, starts, ends);
    END IF;
  END LOOP;
END $$;

-- Retention: a day is dropped whole, in milliseconds, however many rows it has. Returns how many tables went.
CREATE OR REPLACE FUNCTION suasana.drop_days(before DATE) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  part RECORD; dropped BIGINT := 0;
BEGIN
  FOR part IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('suasana.windows'::regclass, 'suasana.happenings'::regclass)
      AND c.relname ~ '_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < before
  LOOP
    EXECUTE format('DROP TABLE suasana.%I', part.relname);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'suasana_ingest') THEN CREATE ROLE suasana_ingest LOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'suasana_site') THEN CREATE ROLE suasana_site NOLOGIN; END IF;
END $$;

REVOKE ALL ON SCHEMA suasana FROM PUBLIC;
REVOKE ALL ON FUNCTION suasana.make_day(DATE), suasana.drop_days(DATE) FROM PUBLIC;
GRANT USAGE ON SCHEMA suasana TO suasana_ingest, suasana_site;
GRANT EXECUTE ON FUNCTION suasana.make_day(DATE), suasana.drop_days(DATE) TO suasana_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  suasana.windows, suasana.happenings, suasana.kits, suasana.clocks, suasana.refused TO suasana_ingest;
GRANT SELECT, DELETE ON suasana.windows, suasana.happenings TO suasana_site;
GRANT UPDATE (ends, dated) ON suasana.windows TO suasana_site;
GRANT SELECT ON suasana.kits TO suasana_site;

-- A site's role is named after it. It sees and deletes its own rows, through its own schema or directly.
ALTER TABLE suasana.windows ENABLE ROW LEVEL SECURITY;
ALTER TABLE suasana.happenings ENABLE ROW LEVEL SECURITY;
ALTER TABLE suasana.kits ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
  name TEXT;
BEGIN
  FOREACH name IN ARRAY ARRAY['windows', 'happenings', 'kits'] LOOP
    EXECUTE format('DROP POLICY IF EXISTS own_site ON suasana.%I', name);
    EXECUTE format('CREATE POLICY own_site ON suasana.%I TO suasana_site USING (''site_'' || site = current_user)'
                   ' WITH CHECK (''site_'' || site = current_user)', name);
    EXECUTE format('DROP POLICY IF EXISTS every_site ON suasana.%I', name);
    EXECUTE format('CREATE POLICY every_site ON suasana.%I TO suasana_ingest USING (true) WITH CHECK (true)', name);
  END LOOP;
END $$;

SELECT suasana.make_day(DATE '1970-01-01');
