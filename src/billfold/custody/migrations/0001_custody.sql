CREATE SCHEMA custody;

-- Which tree of keys in the signer is a chain's. Written before the signer is asked for it, so that it is asked for one.
CREATE TABLE custody.trees (
    chain text PRIMARY KEY,
    network text NOT NULL,
    tree_id uuid NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

-- Which places of a tree are given out. A place that was taken and not used, because a process died, stays unused.
CREATE TABLE custody.places (
    chain text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('hot', 'deposit', 'change', 'channel')),
    next_place bigint NOT NULL CHECK (next_place >= 0),
    PRIMARY KEY (chain, purpose)
);

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
    -- When another took its place as the one that is shown.
    replaced_at timestamptz,
    PRIMARY KEY (chain, address, memo),
    CHECK ((purpose = 'deposit') = (wallet_id IS NOT NULL))
);
CREATE INDEX addresses_wallet ON custody.addresses (wallet_id, chain, created_at) WHERE wallet_id IS NOT NULL;
-- A wallet shows one address of each chain.
CREATE UNIQUE INDEX addresses_shown ON custody.addresses (wallet_id, chain)
    WHERE wallet_id IS NOT NULL AND replaced_at IS NULL;
CREATE UNIQUE INDEX addresses_place ON custody.addresses (chain, purpose, place);

-- Accounts of the house in the ledger, one of each kind for an asset.
CREATE TABLE custody.house_accounts (
    asset text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('omnibus', 'suspense', 'liquidity', 'fees')),
    account_id uuid NOT NULL UNIQUE,
    PRIMARY KEY (asset, kind)
);

-- How far a chain has been read. It moves by comparing with what it was, so that of two who read one moves it.
CREATE TABLE custody.cursors (
    chain text PRIMARY KEY,
    network text NOT NULL,
    -- The first block that was read; nothing of ours can be in an earlier one.
    first_height bigint NOT NULL,
    height bigint NOT NULL,
    hash text NOT NULL,
    block_time timestamptz NOT NULL,
    moved_at timestamptz NOT NULL,
    -- What the nodes said last.
    head_height bigint NOT NULL,
    head_at timestamptz NOT NULL,
    -- Why nothing is read any more until an operator has looked.
    halted text,
    halted_detail text,
    halted_at timestamptz,
    -- How many blocks the next reorganisation may take back at most; NULL is as the settings say.
    depth_allowed bigint
);

-- The blocks that were read last: enough to find where another branch begins.
CREATE TABLE custody.blocks (
    chain text NOT NULL,
    height bigint NOT NULL,
    hash text NOT NULL,
    parent text NOT NULL,
    time timestamptz NOT NULL,
    PRIMARY KEY (chain, height)
);

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
CREATE INDEX coins_height ON custody.coins (chain, height);
CREATE INDEX coins_spent ON custody.coins (chain, spent_height) WHERE spent_height IS NOT NULL;

-- Transactions that we have signed, written before they are sent: what they bring to addresses of the house is its own.
CREATE TABLE custody.own_transactions (
    chain text NOT NULL,
    chain_tx text NOT NULL,
    PRIMARY KEY (chain, chain_tx)
);

-- Money that arrived at our addresses.
CREATE TABLE custody.deposits (
    id uuid PRIMARY KEY,
    chain text NOT NULL,
    chain_tx text NOT NULL,
    index text NOT NULL,
    address text NOT NULL,
    memo text NOT NULL,
    -- '' is the chain's own coin.
    token text NOT NULL,
    asset text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    sender text,
    -- Of a wallet; of nobody known, which goes to suspense; or of the house, which goes to liquidity.
    kind text NOT NULL CHECK (kind IN ('wallet', 'unmatched', 'house')),
    wallet_id uuid,
    -- The block on the main chain that has it; NULL while none has.
    height bigint,
    block text,
    -- Confirmations that it needs at least, whatever the settings say.
    matures_after bigint NOT NULL DEFAULT 0,
    -- When it was seen last among what waits for a block.
    pending_at timestamptz,
    -- `crediting` and `reverting`: the ledger is being asked, under a key that follows from id, epoch and attempt.
    state text NOT NULL CHECK (state IN ('detected', 'crediting', 'credited', 'releasable', 'reverting', 'reverted')),
    -- Why it is not credited although it has the confirmations.
    waits text,
    retry_at timestamptz,
    -- How often it has come back after it was reverted, and how often the ledger has refused it since.
    epoch integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    -- The account that is, or is being, credited.
    account_id uuid,
    credit_transfer uuid,
    reversal_transfer uuid,
    detected_at timestamptz NOT NULL,
    credited_at timestamptz,
    releasable_at timestamptz,
    reverted_at timestamptz,
    CHECK ((kind = 'wallet') = (wallet_id IS NOT NULL)),
    CHECK ((height IS NULL) = (block IS NULL))
);
-- The same transaction may do something else on another branch: that is another deposit. On the main chain a place in a
-- transaction is one.
CREATE UNIQUE INDEX deposits_content ON custody.deposits (chain, chain_tx, index, address, memo, token, amount);
CREATE UNIQUE INDEX deposits_place ON custody.deposits (chain, chain_tx, index) WHERE height IS NOT NULL;
CREATE INDEX deposits_wallet ON custody.deposits (wallet_id, id) WHERE wallet_id IS NOT NULL;
CREATE INDEX deposits_small ON custody.deposits (wallet_id, asset) WHERE state = 'detected' AND waits = 'below_minimum';
CREATE INDEX deposits_height ON custody.deposits (chain, height);
CREATE INDEX deposits_ripe ON custody.deposits (chain, height)
    WHERE state = 'detected' AND height IS NOT NULL AND waits IS NULL;
CREATE INDEX deposits_retry ON custody.deposits (chain, retry_at) WHERE state = 'detected' AND retry_at IS NOT NULL;
CREATE INDEX deposits_credited ON custody.deposits (chain, height) WHERE state = 'credited';
CREATE INDEX deposits_unreleased ON custody.deposits (account_id) WHERE state IN ('crediting', 'credited', 'reverting');
CREATE INDEX deposits_asked ON custody.deposits (chain, state, id) WHERE state IN ('crediting', 'reverting');
CREATE INDEX deposits_gone ON custody.deposits (chain, id)
    WHERE height IS NULL AND state IN ('detected', 'credited', 'releasable');
CREATE INDEX deposits_unmatched ON custody.deposits (id) WHERE kind = 'unmatched';

-- Who has been given an unmatched deposit, by whom. `transfer_id` is NULL until the ledger has moved it.
CREATE TABLE custody.claims (
    deposit_id uuid PRIMARY KEY REFERENCES custody.deposits (id),
    wallet_id uuid NOT NULL,
    account_id uuid NOT NULL,
    claimed_by uuid NOT NULL,
    reason text NOT NULL,
    claimed_at timestamptz NOT NULL,
    transfer_id uuid
);
CREATE INDEX claims_open ON custody.claims (deposit_id) WHERE transfer_id IS NULL;

-- Movements to our addresses that are no deposits, and why.
CREATE TABLE custody.ignored (
    chain text NOT NULL,
    chain_tx text NOT NULL,
    index text NOT NULL,
    address text NOT NULL,
    wallet_id uuid,
    token text NOT NULL,
    amount numeric NOT NULL,
    reason text NOT NULL,
    height bigint NOT NULL,
    PRIMARY KEY (chain, chain_tx, index)
);
CREATE INDEX ignored_height ON custody.ignored (chain, height);

GRANT USAGE ON SCHEMA custody TO billfold_app, billfold_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA custody TO billfold_app, billfold_readonly;
GRANT INSERT ON ALL TABLES IN SCHEMA custody TO billfold_app;
GRANT UPDATE (next_place) ON custody.places TO billfold_app;
GRANT UPDATE (replaced_at) ON custody.addresses TO billfold_app;
GRANT UPDATE (height, hash, block_time, moved_at, head_height, head_at, halted, halted_detail, halted_at, depth_allowed)
    ON custody.cursors TO billfold_app;
GRANT UPDATE (height, mature_at, spent_height, allocated_to) ON custody.coins TO billfold_app;
GRANT UPDATE (kind, wallet_id, height, block, matures_after, pending_at, state, waits, retry_at, epoch, attempt, account_id,
    credit_transfer, reversal_transfer, detected_at, credited_at, releasable_at, reverted_at) ON custody.deposits TO billfold_app;
GRANT UPDATE (transfer_id) ON custody.claims TO billfold_app;
GRANT UPDATE (height, reason) ON custody.ignored TO billfold_app;
GRANT DELETE ON custody.blocks, custody.ignored TO billfold_app;
