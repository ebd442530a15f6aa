-- What chains hold for us, held against what the ledger says. Addresses that may hold something, of chains whose money is not
-- coins, and what each held when the chain was asked last; others hold nothing and nobody asks for them.
CREATE TABLE custody.holdings (
    chain text NOT NULL,
    address text NOT NULL,
    -- '' is the chain's own coin.
    token text NOT NULL,
    balance numeric(78, 0) NOT NULL DEFAULT 0 CHECK (balance >= 0),
    -- How far the chain had been read when it was asked; an address that has moved since has to be asked again.
    height bigint NOT NULL DEFAULT -1,
    moved boolean NOT NULL DEFAULT true,
    asked_at timestamptz,
    PRIMARY KEY (chain, address, token)
);
CREATE INDEX holdings_moved ON custody.holdings (chain) WHERE moved;
CREATE INDEX holdings_asked ON custody.holdings (chain, asked_at) WHERE NOT moved AND balance > 0;

-- The last block whose movements are among the holdings.
CREATE TABLE custody.folded (
    chain text PRIMARY KEY,
    height bigint NOT NULL,
    hash text NOT NULL
);

-- Of chains whose money is coins: when the chain was asked for one last, and whether it did not have it.
ALTER TABLE custody.coins ADD checked_at timestamptz, ADD missing boolean NOT NULL DEFAULT false;
CREATE INDEX coins_checked ON custody.coins (chain, checked_at NULLS FIRST)
    WHERE height IS NOT NULL AND spent_height IS NULL;

-- How each asset of a chain stands by the last reconciliation that came to a result.
CREATE TABLE custody.standings (
    asset text PRIMARY KEY,
    chain text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('clean', 'break')),
    -- What the chain holds too much (or, below zero, too little) for what the ledger says.
    difference numeric(78, 0) NOT NULL,
    -- Since when it stands so, and when that was seen last.
    since timestamptz NOT NULL,
    reconciled_at timestamptz NOT NULL,
    -- Withdrawals are stopped since.
    stopped_at timestamptz,
    -- The difference with which an operator lets withdrawals go on.
    accepted numeric(78, 0)
);
CREATE INDEX standings_stopped ON custody.standings (asset) WHERE stopped_at IS NOT NULL;

-- What was found, each line for good until it is old.
CREATE TABLE custody.reconciliations (
    id uuid PRIMARY KEY,
    chain text NOT NULL,
    asset text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('clean', 'break', 'unsettled')),
    report jsonb NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX reconciliations_asset ON custody.reconciliations (asset, id);
CREATE INDEX reconciliations_chain ON custody.reconciliations (chain, id);

-- What a reconciliation adds up besides.
CREATE INDEX deposits_uncredited ON custody.deposits (chain, asset) INCLUDE (amount)
    WHERE state = 'detected' AND height IS NOT NULL;
CREATE INDEX ignored_unlisted ON custody.ignored (chain, token) INCLUDE (amount) WHERE reason = 'token_not_listed';
CREATE INDEX tx_queue_height ON custody.tx_queue (chain, height) WHERE height IS NOT NULL;
CREATE INDEX withdrawals_open ON custody.withdrawals (chain, state)
    WHERE state IN ('requested', 'held', 'allocated', 'settling');

GRANT SELECT ON custody.holdings, custody.folded, custody.standings, custody.reconciliations TO billfold_app, billfold_readonly;
GRANT INSERT, UPDATE ON custody.holdings, custody.folded, custody.standings TO billfold_app;
GRANT INSERT, DELETE ON custody.reconciliations TO billfold_app;
GRANT UPDATE (checked_at, missing) ON custody.coins TO billfold_app;
