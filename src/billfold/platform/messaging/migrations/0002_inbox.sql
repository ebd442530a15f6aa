-- Which events a consumer has applied. A row is written in the database transaction of what the event did.
CREATE TABLE messaging.inbox (
    consumer text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of what the event said: another one under the same id is no repeat.
    digest bigint NOT NULL,
    PRIMARY KEY (consumer, source, id)
) WITH (
    -- Rows are only ever inserted, and deleted when they are old.
    autovacuum_analyze_threshold = 1000000
);

CREATE INDEX inbox_seen_at ON messaging.inbox (seen_at);

-- Events that a consumer could not apply, as they came. `source`, `event_id` and `type` are what could be read of them.
CREATE TABLE messaging.refused_events (
    id uuid PRIMARY KEY,
    consumer text NOT NULL,
    digest uuid NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text,
    event_id text,
    type text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    position text NOT NULL,
    deliveries integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    UNIQUE (consumer, digest)
);

GRANT SELECT ON messaging.inbox, messaging.refused_events TO billfold_app, billfold_readonly;
GRANT INSERT, DELETE ON messaging.inbox TO billfold_app;
-- Nothing is ever changed there. Leaving out rows that another deletes (FOR UPDATE SKIP LOCKED) takes this right, and so does
-- being told, in the statement that inserts, of a row that is there and has another digest (ON CONFLICT DO UPDATE).
GRANT UPDATE (seen_at, digest) ON messaging.inbox TO billfold_app;
GRANT INSERT, DELETE ON messaging.refused_events TO billfold_app;
GRANT UPDATE (position, deliveries) ON messaging.refused_events TO billfold_app;
