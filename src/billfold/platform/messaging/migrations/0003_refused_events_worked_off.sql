-- Operators work off what consumers could not apply: they have its consumer try it again, or leave it for good.
ALTER TABLE messaging.refused_events
    -- As what it was delivered, by which it is chosen again; empty where nobody had said, and of rows from before.
    ADD COLUMN delivered_as text NOT NULL DEFAULT '',
    ADD COLUMN status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'retrying', 'applied', 'discarded')),
    -- A retry that no consumer has begun. It is not begun again by itself: it may be what ends processes.
    ADD COLUMN wanted boolean NOT NULL DEFAULT false,
    ADD COLUMN retries integer NOT NULL DEFAULT 0;

CREATE INDEX refused_events_unended ON messaging.refused_events (consumer, status)
    WHERE status IN ('open', 'retrying');

GRANT UPDATE (status, wanted, retries, reason, detail) ON messaging.refused_events TO billfold_app;
