-- Messages of the queue of confirmed transactions that could not be applied, as they came, until an operator has
-- decided. The same content sent again is the same row.
CREATE TABLE wallets.dead_letters (
    -- UUIDv7: the order of ids is the order of first sight, by which lists are paged.
    id uuid PRIMARY KEY,
    digest uuid NOT NULL UNIQUE,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    -- Which message of its stream it was when last seen, and how often it has been delivered in all.
    sequence bigint NOT NULL,
    deliveries integer NOT NULL CHECK (deliveries > 0),
    -- How often an operator has tried it again.
    retries integer NOT NULL DEFAULT 0 CHECK (retries >= 0),
    -- What a successful retry has posted.
    transfer_id uuid,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'retried', 'discarded')),
    reason text NOT NULL,
    detail text NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    content bytea NOT NULL,
    CHECK ((status = 'retried') = (transfer_id IS NOT NULL))
);
CREATE INDEX dead_letters_status ON wallets.dead_letters (status, id);

GRANT SELECT, INSERT ON wallets.dead_letters TO billfold_app;
GRANT SELECT ON wallets.dead_letters TO billfold_readonly;
-- What came stays as it came.
GRANT UPDATE (last_seen, subject, sequence, deliveries, retries, transfer_id, status, reason, detail)
    ON wallets.dead_letters TO billfold_app;
