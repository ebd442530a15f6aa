-- Chains whose keys are elsewhere. Either all addresses follow from the public key of an account, or they are listed.
CREATE TABLE custody.public_keys (
    chain text PRIMARY KEY,
    network text NOT NULL,
    -- In its one form, and the fingerprint of the master key above it, by which hardware wallets know their own.
    public_key text NOT NULL,
    fingerprint text CHECK (fingerprint ~ '^[0-9a-f]{8}$'),
    created_at timestamptz NOT NULL
);

-- Addresses that are given out in the order of their places, which are those of custody.addresses.
CREATE TABLE custody.listed_addresses (
    chain text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('hot', 'deposit')),
    place bigint NOT NULL CHECK (place >= 0),
    address text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (chain, purpose, place),
    UNIQUE (chain, address)
);

-- When it was handed out to be signed elsewhere: from then on it may be signed, so it isn't dropped without proof or
-- somebody's word.
ALTER TABLE custody.tx_queue ADD exported_at timestamptz;
CREATE INDEX tx_queue_unsigned ON custody.tx_queue (chain, created_at) WHERE state = 'built';

GRANT SELECT ON custody.public_keys, custody.listed_addresses TO billfold_app, billfold_readonly;
GRANT INSERT ON custody.public_keys, custody.listed_addresses TO billfold_app;
GRANT UPDATE (exported_at) ON custody.tx_queue TO billfold_app;
-- What is handed out gets its time, or its recent block, at that moment.
GRANT UPDATE (anchor, last_height, expires_at) ON custody.allocations TO billfold_app;
