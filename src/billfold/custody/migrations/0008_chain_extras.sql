-- What the house's own accounts take before they can be used, on chains on which accounts and trustlines have to be opened. A
-- channel that has a row here gives its number when the row says `open`.
CREATE TABLE custody.openings (
    chain text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('channel', 'trustline')),
    -- The channel's address, or the token.
    subject text NOT NULL,
    state text NOT NULL CHECK (state IN ('wanted', 'allocated', 'open')),
    -- What is to open it; of one that is open, what has, where we have.
    allocation_id uuid REFERENCES custody.allocations,
    -- Why it waits.
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    PRIMARY KEY (chain, kind, subject),
    CHECK (state <> 'wanted' OR allocation_id IS NULL),
    CHECK (state <> 'allocated' OR allocation_id IS NOT NULL)
);
CREATE INDEX openings_due ON custody.openings (chain, next_at) WHERE state = 'wanted';
CREATE INDEX openings_allocated ON custody.openings (allocation_id) WHERE state = 'allocated';

-- `open` opens accounts and trustlines of the house.
ALTER TABLE custody.tx_queue DROP CONSTRAINT tx_queue_kind_check,
    ADD CONSTRAINT tx_queue_kind_check CHECK (kind IN ('pay', 'clear', 'sweep', 'gas', 'open'));

GRANT SELECT ON ALL TABLES IN SCHEMA custody TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.openings TO billfold_app;
GRANT UPDATE (state, allocation_id, reason, next_at) ON custody.openings TO billfold_app;
