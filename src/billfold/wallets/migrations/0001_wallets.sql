CREATE SCHEMA wallets;

CREATE TABLE wallets.wallets (
    -- UUIDv7: the order of ids is the order of creation, by which lists are paged.
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'frozen', 'closed')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    external_id text CHECK (length(external_id) BETWEEN 1 AND 100),
    -- A digest of what it was created with, so that creating it again is told from creating another.
    created_with uuid NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX wallets_external_id ON wallets.wallets (owner_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX wallets_owner ON wallets.wallets (owner_id, id);

-- The ledger account in which a wallet keeps an asset. A row is never changed: processes remember it.
CREATE TABLE wallets.accounts (
    wallet_id uuid NOT NULL REFERENCES wallets.wallets (id),
    asset text NOT NULL,
    account_id uuid NOT NULL UNIQUE,
    PRIMARY KEY (wallet_id, asset)
);

GRANT USAGE ON SCHEMA wallets TO billfold_app, billfold_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA wallets TO billfold_app, billfold_readonly;
GRANT INSERT ON wallets.wallets, wallets.accounts TO billfold_app;
-- What a caller may be told to trust for ever (id, owner_id, external_id, the accounts) can't be changed.
GRANT UPDATE (status, name, metadata) ON wallets.wallets TO billfold_app;
