CREATE SCHEMA messaging;

-- What has been committed and not yet been published. Rows leave by deletion, so whatever is here is still to be done, in
-- whatever order transactions commit; nothing may ever read it by a watermark. `seq` must keep its CACHE of 1: it is
-- what puts the rows of one key in order (see the README beside this folder).
CREATE TABLE messaging.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    payload bytea NOT NULL
) WITH (
    -- Every row is deleted soon. Dead ones at the front would be read over again by each look at the queue.
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_analyze_threshold = 1000000
);

-- Rows that could not be turned into events, and why. They are tried again from time to time.
CREATE TABLE messaging.parked (
    seq bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL
);

-- For statements that write their own rows in the same round trip. It runs with the rights of its caller.
CREATE FUNCTION messaging.append(kind text, payload bytea) RETURNS void LANGUAGE sql SECURITY INVOKER AS $$
    INSERT INTO messaging.outbox (kind, payload) VALUES (kind, payload);
$$;

GRANT USAGE ON SCHEMA messaging TO billfold_app, billfold_readonly;
GRANT SELECT ON messaging.outbox, messaging.parked TO billfold_app, billfold_readonly;
GRANT INSERT, DELETE ON messaging.outbox, messaging.parked TO billfold_app;
REVOKE EXECUTE ON FUNCTION messaging.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION messaging.append TO billfold_app;
