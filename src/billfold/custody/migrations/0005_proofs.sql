-- Proofs of reserves. `secret` makes the salts of its leaves: with it anybody could tell which leaf is whose.
CREATE TABLE custody.reserve_snapshots (
    id uuid PRIMARY KEY,
    -- The instant of what is owed.
    at timestamptz NOT NULL,
    assets text[] NOT NULL,
    secret bytea NOT NULL CHECK (length(secret) = 32),
    state text NOT NULL CHECK (state IN ('requested', 'done', 'failed')),
    asked_by uuid NOT NULL,
    root bytea CHECK (length(root) = 32),
    -- The published file, as JSON.
    document bytea,
    -- Why it failed, or what it waits for.
    reason text NOT NULL DEFAULT '',
    done_at timestamptz,
    CHECK ((state = 'done') = (document IS NOT NULL))
);
-- One at a time.
CREATE UNIQUE INDEX reserve_snapshots_requested ON custody.reserve_snapshots (state) WHERE state = 'requested';

CREATE TABLE custody.reserve_trees (
    snapshot_id uuid NOT NULL REFERENCES custody.reserve_snapshots,
    asset text NOT NULL,
    scale int NOT NULL,
    chain text NOT NULL,
    token text,
    depth int NOT NULL,
    top bytea NOT NULL CHECK (length(top) = 32),
    owed numeric NOT NULL CHECK (owed >= 0),
    below_zero numeric NOT NULL CHECK (below_zero >= 0),
    PRIMARY KEY (snapshot_id, asset)
);

-- Leaves in the order of their holders' pseudonyms, which is the tree's; it says nothing, and no wallet is named here.
CREATE TABLE custody.reserve_leaves (
    snapshot_id uuid NOT NULL REFERENCES custody.reserve_snapshots,
    asset text NOT NULL,
    holder bytea NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (snapshot_id, asset, holder)
);

-- The tops of 1,024 leaves each, so that a proof reads the leaves of one of them alone.
CREATE TABLE custody.reserve_chunks (
    snapshot_id uuid NOT NULL REFERENCES custody.reserve_snapshots,
    asset text NOT NULL,
    number int NOT NULL,
    first_holder bytea NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    sum numeric NOT NULL CHECK (sum >= 0),
    PRIMARY KEY (snapshot_id, asset, number)
);

GRANT SELECT, INSERT ON custody.reserve_snapshots, custody.reserve_trees, custody.reserve_leaves, custody.reserve_chunks
    TO billfold_app;
GRANT UPDATE (state, root, document, reason, done_at) ON custody.reserve_snapshots TO billfold_app;
GRANT DELETE ON custody.reserve_leaves, custody.reserve_chunks TO billfold_app;
-- Not the secret.
GRANT SELECT (id, at, assets, state, asked_by, root, document, reason, done_at) ON custody.reserve_snapshots
    TO billfold_readonly;
GRANT SELECT ON custody.reserve_trees, custody.reserve_leaves, custody.reserve_chunks TO billfold_readonly;
