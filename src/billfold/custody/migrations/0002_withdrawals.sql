-- What is to leave for a chain. Each column of money is in smallest units; of `asset`, but for `fee_paid`, which is in the chain's
-- own coin.
CREATE TABLE custody.withdrawals (
    id uuid PRIMARY KEY,
    wallet_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    -- Who pays in the ledger.
    account_id uuid NOT NULL,
    chain text NOT NULL,
    asset text NOT NULL,
    -- NULL is the chain's own coin; else contract, mint, or CODE:ISSUER.
    token text,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    service_fee numeric(78, 0) NOT NULL CHECK (service_fee >= 0),
    -- The most that is charged for the network; 0 for a token, whose network fee is the house's.
    network_fee numeric(78, 0) NOT NULL CHECK (network_fee >= 0),
    -- What the first payment to an address costs beside the fee, in the chain's own coin.
    opening numeric(78, 0) NOT NULL CHECK (opening >= 0),
    address text NOT NULL,
    memo text,
    speed text NOT NULL CHECK (speed IN ('slow', 'normal', 'fast')),
    state text NOT NULL CHECK (
        state IN ('requested', 'held', 'allocated', 'settling', 'settled', 'failed', 'cancelled')
    ),
    -- The idempotency key, and what was asked with it.
    key uuid NOT NULL UNIQUE,
    fingerprint bigint NOT NULL,
    -- A new address waits until then.
    waits_until timestamptz,
    allocation_id uuid,
    -- How it ended, from `settling` on: the ledger is told of exactly this, however often.
    outcome text CHECK (outcome IN ('paid', 'failed', 'cancelled')),
    chain_tx text,
    fee_paid numeric(78, 0),
    -- Why it waits, or failed.
    reason text NOT NULL DEFAULT '',
    cancel_asked boolean NOT NULL DEFAULT false,
    -- How often it was allocated.
    attempts int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    -- When somebody looks at it next, and how often somebody took it: who was overtaken changes nothing any more.
    next_at timestamptz NOT NULL,
    fence bigint NOT NULL DEFAULT 0
);
CREATE INDEX withdrawals_due ON custody.withdrawals (chain, next_at) WHERE state IN ('requested', 'held', 'settling');
CREATE INDEX withdrawals_wallet ON custody.withdrawals (wallet_id, id);
CREATE INDEX withdrawals_allocation ON custody.withdrawals (allocation_id) WHERE allocation_id IS NOT NULL;

-- What the ledger holds for a withdrawal: the first for all of it, each other for a fee that was raised. Its key is made of both
-- columns of the primary key, so that it is known before the ledger is asked.
CREATE TABLE custody.withdrawal_holds (
    withdrawal_id uuid NOT NULL REFERENCES custody.withdrawals,
    number int NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    hold_id uuid UNIQUE,
    PRIMARY KEY (withdrawal_id, number)
);

-- What a transaction uses up. Its coins are those that are allocated to it.
CREATE TABLE custody.allocations (
    id uuid PRIMARY KEY,
    chain text NOT NULL,
    source text NOT NULL,
    change text,
    nonce numeric(78, 0),
    anchor text,
    last_height bigint,
    expires_at timestamptz,
    -- `freed` was given back before anything was signed; `dead` can't happen any more.
    state text NOT NULL CHECK (state IN ('living', 'settling', 'used', 'dead', 'freed')),
    -- What of the network fee the house pays, from `settling` on.
    house_fee numeric(78, 0),
    created_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    fence bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX allocations_nonce ON custody.allocations (chain, source, nonce)
    WHERE nonce IS NOT NULL AND state IN ('living', 'settling', 'used');
CREATE INDEX allocations_due ON custody.allocations (chain, next_at) WHERE state IN ('living', 'settling');

-- Transactions of ours. Those of one allocation exclude each other.
CREATE TABLE custody.tx_queue (
    id uuid PRIMARY KEY,
    allocation_id uuid NOT NULL REFERENCES custody.allocations,
    chain text NOT NULL,
    -- `clear` pays nothing: it only uses the allocation up.
    kind text NOT NULL CHECK (kind IN ('pay', 'clear')),
    replaces uuid REFERENCES custody.tx_queue,
    rate jsonb NOT NULL,
    -- The most that it may cost, and what it costs at most as it was built.
    fee_limit numeric(78, 0) NOT NULL,
    fee_max numeric(78, 0),
    payload bytea,
    raw bytea,
    chain_tx text,
    state text NOT NULL CHECK (
        state IN ('allocated', 'built', 'signed', 'broadcasting', 'sent', 'uncertain', 'mined', 'final', 'dead', 'dropped')
    ),
    height bigint,
    block text,
    succeeded boolean,
    fee numeric(78, 0),
    reason text NOT NULL DEFAULT '',
    broadcasts int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CHECK ((raw IS NULL) = (chain_tx IS NULL)),
    CHECK (raw IS NOT NULL OR state IN ('allocated', 'built', 'dropped'))
);
CREATE UNIQUE INDEX tx_queue_chain_tx ON custody.tx_queue (chain, chain_tx) WHERE chain_tx IS NOT NULL;
CREATE UNIQUE INDEX tx_queue_one_mined ON custody.tx_queue (allocation_id) WHERE state IN ('mined', 'final');
CREATE INDEX tx_queue_allocation ON custody.tx_queue (allocation_id);

CREATE TABLE custody.tx_payments (
    tx_id uuid NOT NULL REFERENCES custody.tx_queue,
    number int NOT NULL,
    -- NULL is a payment to ourselves.
    withdrawal_id uuid REFERENCES custody.withdrawals,
    address text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount >= 0),
    token text,
    memo text,
    PRIMARY KEY (tx_id, number)
);

-- Each handing over to a node is written down before it is done.
CREATE TABLE custody.tx_attempts (
    tx_id uuid NOT NULL REFERENCES custody.tx_queue,
    number int NOT NULL,
    began_at timestamptz NOT NULL,
    -- NULL: nobody knows.
    answer text,
    PRIMARY KEY (tx_id, number)
);

-- Where each wallet has sent money, or is about to.
CREATE TABLE custody.destinations (
    wallet_id uuid NOT NULL,
    chain text NOT NULL,
    address text NOT NULL,
    memo text NOT NULL DEFAULT '',
    -- Until then nothing leaves for it.
    waits_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (wallet_id, chain, address, memo)
);

-- What chains asked for a place in a block when they last said so.
CREATE TABLE custody.chain_fees (
    chain text PRIMARY KEY,
    rates jsonb NOT NULL,
    -- What one payment cost by these, by token ('' is the coin) and speed: all that is known while no node answers.
    estimates jsonb NOT NULL DEFAULT '{}',
    asked_at timestamptz NOT NULL
);

GRANT SELECT ON ALL TABLES IN SCHEMA custody TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.withdrawals, custody.withdrawal_holds, custody.allocations, custody.tx_queue, custody.tx_payments,
    custody.tx_attempts, custody.destinations, custody.chain_fees TO billfold_app;
GRANT UPDATE (state, allocation_id, outcome, chain_tx, fee_paid, network_fee, reason, cancel_asked, attempts, changed_at, next_at, fence)
    ON custody.withdrawals TO billfold_app;
GRANT UPDATE (hold_id) ON custody.withdrawal_holds TO billfold_app;
GRANT UPDATE (state, house_fee, next_at, fence) ON custody.allocations TO billfold_app;
GRANT UPDATE (fee_max, payload, raw, chain_tx, state, height, block, succeeded, fee, reason, broadcasts, changed_at)
    ON custody.tx_queue TO billfold_app;
GRANT UPDATE (answer) ON custody.tx_attempts TO billfold_app;
GRANT DELETE ON custody.tx_attempts TO billfold_app;
GRANT UPDATE (waits_until) ON custody.destinations TO billfold_app;
GRANT UPDATE (rates, estimates, asked_at) ON custody.chain_fees TO billfold_app;
