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
    ADD CONSTRAINT tx_queue_kind_check CHECK (kind IN ('pay', 'clear', 'sweep', 'gas', 'open', 'warm', 'merge'));

GRANT SELECT ON ALL TABLES IN SCHEMA custody TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.openings TO billfold_app;
GRANT UPDATE (state, allocation_id, reason, next_at) ON custody.openings TO billfold_app;

-- What has arrived for nobody known and is sent back, or was: it is no more `unmatched`, and is again if that fails.
ALTER TABLE custody.deposits DROP CONSTRAINT deposits_kind_check,
    ADD CONSTRAINT deposits_kind_check CHECK (kind IN ('wallet', 'unmatched', 'refunded', 'house', 'warm'));

-- A withdrawal of nobody's wallet sends such a deposit back; who pays is the suspense account.
ALTER TABLE custody.withdrawals ALTER wallet_id DROP NOT NULL, ALTER owner_id DROP NOT NULL,
    ADD CONSTRAINT withdrawals_whose CHECK ((wallet_id IS NULL) = (owner_id IS NULL));

CREATE TABLE custody.refunds (
    withdrawal_id uuid PRIMARY KEY REFERENCES custody.withdrawals,
    deposit_id uuid NOT NULL REFERENCES custody.deposits,
    asked_by uuid NOT NULL,
    reason text NOT NULL,
    asked_at timestamptz NOT NULL,
    failed boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX refunds_one ON custody.refunds (deposit_id) WHERE NOT failed;
CREATE INDEX refunds_deposit ON custody.refunds (deposit_id, asked_at);

GRANT SELECT ON custody.refunds TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.refunds TO billfold_app;
GRANT UPDATE (failed) ON custody.refunds TO billfold_app;

-- From which block on the nodes do not show all that a block moves; NULL: they do.
ALTER TABLE custody.cursors ADD partial_from bigint;
GRANT UPDATE (partial_from) ON custody.cursors TO billfold_app;
