-- What is not a customer's: `warm` brings what is too much at the hot address to the operator's own, `merge` makes one coin of many.
ALTER TABLE custody.tx_queue DROP CONSTRAINT tx_queue_kind_check,
    ADD CONSTRAINT tx_queue_kind_check CHECK (kind IN ('pay', 'clear', 'sweep', 'gas', 'warm', 'merge'));
-- `warm` is what came back from there. Its account is below zero by what lies there for us.
ALTER TABLE custody.deposits DROP CONSTRAINT deposits_kind_check,
    ADD CONSTRAINT deposits_kind_check CHECK (kind IN ('wallet', 'unmatched', 'house', 'warm'));
ALTER TABLE custody.house_accounts DROP CONSTRAINT house_accounts_kind_check,
    ADD CONSTRAINT house_accounts_kind_check CHECK (kind IN ('omnibus', 'suspense', 'liquidity', 'fees', 'warm'));
CREATE INDEX deposits_warm ON custody.deposits (asset, credited_at) WHERE kind = 'warm';

-- How much of an asset lies ready, as it was seen last, in smallest units.
CREATE TABLE custody.hot_levels (
    asset text PRIMARY KEY,
    chain text NOT NULL,
    -- What is there and not given out yet.
    free numeric(78, 0) NOT NULL,
    -- What withdrawals that have no transaction yet will take.
    waiting numeric(78, 0) NOT NULL,
    low numeric(78, 0) NOT NULL,
    target numeric(78, 0) NOT NULL,
    high numeric(78, 0) NOT NULL,
    -- On which side of its band it is, and since when: what is seen once may be a block that is half read.
    side text NOT NULL CHECK (side IN ('', 'low', 'high')),
    since timestamptz NOT NULL,
    looked_at timestamptz NOT NULL
);

-- What operators are asked to bring from their warm address.
CREATE TABLE custody.refills (
    id uuid PRIMARY KEY,
    chain text NOT NULL,
    asset text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    -- Where it is to go, and what has come from the warm address since.
    address text NOT NULL,
    received numeric(78, 0) NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    -- How it ended.
    outcome text CHECK (outcome IN ('received', 'not_needed')),
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX refills_open ON custody.refills (asset) WHERE closed_at IS NULL;

GRANT SELECT ON custody.hot_levels, custody.refills TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.hot_levels, custody.refills TO billfold_app;
GRANT UPDATE (chain, free, waiting, low, target, high, side, since, looked_at) ON custody.hot_levels TO billfold_app;
GRANT UPDATE (received, closed_at, outcome) ON custody.refills TO billfold_app;
