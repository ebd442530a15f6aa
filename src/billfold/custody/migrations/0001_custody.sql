CREATE SCHEMA custody;

-- Addresses that are ours, for ever: money that comes late is credited, too. On a chain whose addresses are shared the memo tells
-- whose it is; elsewhere it is empty.
CREATE TABLE custody.addresses (
    chain text NOT NULL,
    address text NOT NULL,
    memo text NOT NULL DEFAULT '',
    purpose text NOT NULL CHECK (purpose IN ('hot', 'deposit', 'change', 'channel')),
    -- Where its key is in the signer's tree.
    place bigint NOT NULL,
    -- Whose it is; NULL is the house's.
    wallet_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (chain, address, memo),
    CHECK ((purpose = 'deposit') = (wallet_id IS NOT NULL))
);
CREATE INDEX addresses_wallet ON custody.addresses (wallet_id, chain) WHERE wallet_id IS NOT NULL;

-- Of chains whose money is coins: those that blocks gave to our addresses.
CREATE TABLE custody.coins (
    chain text NOT NULL,
    chain_tx text NOT NULL,
    index text NOT NULL,
    address text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    -- The block that has it; NULL while none has, or after a reorganisation took it back.
    height bigint,
    -- The first height at which it may be spent.
    mature_at bigint NOT NULL DEFAULT 0,
    -- The block that has the transaction which used it up.
    spent_height bigint,
    -- The transaction of ours that it is allocated to.
    allocated_to uuid,
    PRIMARY KEY (chain, chain_tx, index)
);
CREATE INDEX coins_free ON custody.coins (chain, amount)
    WHERE height IS NOT NULL AND spent_height IS NULL AND allocated_to IS NULL;

GRANT USAGE ON SCHEMA custody TO billfold_app, billfold_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA custody TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.addresses, custody.coins TO billfold_app;
GRANT UPDATE (height, mature_at, spent_height, allocated_to) ON custody.coins TO billfold_app;
