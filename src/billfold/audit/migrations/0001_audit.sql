CREATE SCHEMA audit;

-- What happened, one row each, numbered from 0 without a gap. `content` is the text that is hashed; the other columns are
-- taken from it, to find rows by. Nothing here is ever changed: by grants for the application, by triggers for the owner.
CREATE TABLE audit.records (
    position bigint PRIMARY KEY CHECK (position >= 0),
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    happened_at timestamptz NOT NULL,
    outcome text NOT NULL,
    actor text,
    owner text,
    content bytea NOT NULL,
    leaf bytea NOT NULL CHECK (length(leaf) = 32),
    UNIQUE (event_id, source)
);
CREATE INDEX records_of_actors ON audit.records (actor, position) WHERE actor IS NOT NULL;
CREATE INDEX records_of_owners ON audit.records (owner, position) WHERE owner IS NOT NULL;
CREATE INDEX records_by_subject ON audit.records (subject, position);
CREATE INDEX records_by_type ON audit.records (type text_pattern_ops, position);
CREATE INDEX records_by_time ON audit.records USING brin (happened_at);

-- The hashes of complete subtrees over 256 leaves (level 1), and over 256 of those (level 2), and so on.
CREATE TABLE audit.subtrees (
    level smallint NOT NULL CHECK (level > 0),
    index bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, index)
);

-- Signed tree heads: each covers the records before its size.
CREATE TABLE audit.heads (
    size bigint PRIMARY KEY,
    root bytea NOT NULL CHECK (length(root) = 32),
    sealed_at timestamptz NOT NULL,
    note text NOT NULL
);

-- Which head was told to whom, so that each is told once, or again after a crash.
CREATE TABLE audit.publications (
    place text NOT NULL,
    size bigint NOT NULL REFERENCES audit.heads,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (place, size)
);

-- What signs the heads. The private half is sealed under the master keys; the newest signs.
CREATE TABLE audit.signing_keys (
    number smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public text NOT NULL UNIQUE,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit.% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['records', 'subtrees', 'heads', 'publications', 'signing_keys'] LOOP
        EXECUTE format(
            'CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA audit TO billfold_app, billfold_readonly;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA audit TO billfold_app;
GRANT SELECT ON audit.subtrees, audit.heads, audit.publications TO billfold_readonly;
GRANT SELECT (position, source, event_id, type, subject, happened_at, outcome, actor, owner, leaf)
    ON audit.records TO billfold_readonly;
GRANT SELECT (number, public, created_at) ON audit.signing_keys TO billfold_readonly;
