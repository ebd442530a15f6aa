CREATE SCHEMA notifications;

-- The one row whose lock puts writers in a queue until they have committed. So rows of the feed become visible in the
-- order of `seq`, and a reader may remember how far it has read.
CREATE TABLE notifications.head (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    seq bigint NOT NULL
);
INSERT INTO notifications.head (seq) VALUES (0);

-- How many events each owner has been told; those up to `forgotten` are not kept any more.
CREATE TABLE notifications.owners (
    owner_id uuid PRIMARY KEY,
    position bigint NOT NULL,
    forgotten bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- What each owner may see of each event that concerns them. An owner's positions count 1, 2, 3 … without a gap.
CREATE TABLE notifications.feed (
    seq bigint PRIMARY KEY,
    owner_id uuid NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    time timestamptz NOT NULL,
    -- JSON as it is sent.
    data text NOT NULL,
    UNIQUE (owner_id, position)
);

GRANT USAGE ON SCHEMA notifications TO billfold_app, billfold_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA notifications TO billfold_app, billfold_readonly;
GRANT UPDATE ON notifications.head TO billfold_app;
GRANT INSERT, UPDATE ON notifications.owners TO billfold_app;
GRANT INSERT, DELETE ON notifications.feed TO billfold_app;
