CREATE SCHEMA ledger;

CREATE TYPE ledger.account_status AS ENUM ('open', 'frozen', 'closed');
CREATE TYPE ledger.account_kind AS ENUM ('user', 'external', 'fees', 'suspense', 'omnibus', 'liquidity');
CREATE TYPE ledger.transfer_kind AS ENUM
    ('transfer', 'deposit', 'withdrawal', 'fee', 'reversal', 'settlement', 'adjustment');
CREATE TYPE ledger.hold_status AS ENUM ('active', 'settled', 'released', 'expired');
CREATE TYPE ledger.relation AS ENUM ('group', 'reversal', 'settlement');

CREATE TABLE ledger.assets (
    code text PRIMARY KEY CHECK (code ~ '^[A-Z0-9._-]{2,20}$'),
    scale smallint NOT NULL CHECK (scale BETWEEN 0 AND 36),
    kind text NOT NULL CHECK (kind IN ('fiat', 'native', 'token')),
    name text NOT NULL,
    chain text,
    contract text,
    -- Where deposits come from and withdrawals go to: the outside world.
    external_account uuid NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A balance is credits − debits. No index on what a posting changes, and room on the page: updates stay on it (HOT).
CREATE TABLE ledger.accounts (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    -- Microseconds since 1970 of the last entry: the next one's recorded_at must be later.
    last_recorded_us bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind ledger.account_kind NOT NULL,
    status ledger.account_status NOT NULL DEFAULT 'open',
    asset text NOT NULL REFERENCES ledger.assets (code),
    posted numeric(78, 0) NOT NULL DEFAULT 0,
    held numeric(78, 0) NOT NULL DEFAULT 0 CHECK (held >= 0),
    -- The lowest allowed available balance; NULL is none.
    floor numeric(78, 0)
) WITH (fillfactor = 50);

-- The journal. One row is a transfer with both its entries. Columns are ordered so that nothing is lost to alignment,
-- and none is NULL, which keeps the row header at its shortest. There are no foreign keys: the accounts are locked and
-- checked by the posting itself, accounts are never deleted, and a key would lock each account row a second time.
CREATE TABLE ledger.transfers (
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    debit_version bigint NOT NULL,
    credit_version bigint NOT NULL,
    -- The database transaction that wrote it, without its epoch: with an id range it names the transfers of one batch.
    batch xid NOT NULL,
    kind ledger.transfer_kind NOT NULL,
    id uuid NOT NULL,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    debit_balance numeric(78, 0) NOT NULL,
    credit_balance numeric(78, 0) NOT NULL,
    asset text NOT NULL,
    reference text NOT NULL,
    description text NOT NULL,
    -- A JSON object of strings, or nothing.
    metadata text NOT NULL,
    CHECK (debit_account <> credit_account),
    CHECK (effective_at <= recorded_at),
    PRIMARY KEY (id)
);

-- An account's entries in time. recorded_at strictly increases along an account's versions, so these are unique, and
-- the balance at an instant is one seek (docs/adr/0003-entries-are-indexed-by-time.md).
CREATE UNIQUE INDEX transfers_debit ON ledger.transfers (debit_account, recorded_at);
CREATE UNIQUE INDEX transfers_credit ON ledger.transfers (credit_account, recorded_at);

-- What a transfer has to do with another thing. Few have, so they don't widen the journal.
CREATE TABLE ledger.links (
    transfer_id uuid NOT NULL,
    relation ledger.relation NOT NULL,
    target uuid NOT NULL,
    PRIMARY KEY (transfer_id, relation)
);
CREATE INDEX links_target ON ledger.links (target, relation);

CREATE VIEW ledger.entries AS
    SELECT debit_account AS account, debit_version AS version, -amount AS amount, debit_balance AS balance,
           credit_account AS counterparty, id AS transfer_id, asset, kind, reference, description, metadata,
           effective_at, recorded_at
    FROM ledger.transfers
    UNION ALL
    SELECT credit_account, credit_version, amount, credit_balance, debit_account, id, asset, kind, reference,
           description, metadata, effective_at, recorded_at
    FROM ledger.transfers;

-- Back-dated money by period, so that a balance as effective at an instant is a handful of range sums. A bucket is
-- effective_at in microseconds, shifted right by `shift` bits; shift 0 is the exact instant.
CREATE TABLE ledger.backdated_periods (
    account_id uuid NOT NULL,
    shift smallint NOT NULL,
    bucket bigint NOT NULL,
    -- Without a limit: back-dated money alone may exceed any balance, when other money has gone the other way.
    amount numeric NOT NULL,
    PRIMARY KEY (account_id, shift, bucket)
) WITH (fillfactor = 80);

-- All back-dated money of an account up to the moment it was recorded.
CREATE TABLE ledger.backdated_totals (
    account_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    total numeric NOT NULL,
    PRIMARY KEY (account_id, recorded_at)
);

CREATE TABLE ledger.holds (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES ledger.accounts (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz CHECK (isfinite(expires_at)),
    ended_at timestamptz,
    status ledger.hold_status NOT NULL DEFAULT 'active',
    asset text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    settled numeric(78, 0) NOT NULL DEFAULT 0 CHECK (settled BETWEEN 0 AND amount),
    reference text NOT NULL,
    description text NOT NULL,
    CHECK ((status = 'active') = (ended_at IS NULL))
);
CREATE INDEX holds_account ON ledger.holds (account_id, id);
CREATE INDEX holds_due ON ledger.holds (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;

-- One row per request that was answered, kept for ever: forgetting one would let a late repeat count twice. `subject` is
-- its transfer, where that is the whole answer; `answer` is what can't be read back from the journal.
CREATE TABLE ledger.idempotency (
    fingerprint bigint NOT NULL,
    digest uuid PRIMARY KEY,
    subject uuid,
    answer bytea,
    CHECK ((subject IS NULL) <> (answer IS NULL))
);

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfers
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.links
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER never_deleted BEFORE DELETE OR TRUNCATE ON ledger.accounts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

GRANT USAGE ON SCHEMA ledger TO billfold_app, billfold_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO billfold_app, billfold_readonly;
GRANT INSERT ON ledger.assets, ledger.accounts, ledger.transfers, ledger.links, ledger.backdated_periods,
    ledger.backdated_totals, ledger.holds, ledger.idempotency TO billfold_app;
GRANT UPDATE (version, last_recorded_us, status, posted, held, floor) ON ledger.accounts TO billfold_app;
GRANT UPDATE (amount) ON ledger.backdated_periods TO billfold_app;
GRANT UPDATE (settled, status, ended_at) ON ledger.holds TO billfold_app;

-- A starting set; more are added by `billfold assets add` or the API.
INSERT INTO ledger.assets (code, scale, kind, name, chain, contract, external_account)
SELECT code, scale, kind, name, chain, contract, gen_random_uuid()
FROM (VALUES
    ('USD', 2, 'fiat', 'US dollar', NULL, NULL),
    ('EUR', 2, 'fiat', 'Euro', NULL, NULL),
    ('GBP', 2, 'fiat', 'Pound sterling', NULL, NULL),
    ('CHF', 2, 'fiat', 'Swiss franc', NULL, NULL),
    ('CZK', 2, 'fiat', 'Czech koruna', NULL, NULL),
    ('THB', 2, 'fiat', 'Thai baht', NULL, NULL),
    ('JPY', 0, 'fiat', 'Japanese yen', NULL, NULL),
    ('KWD', 3, 'fiat', 'Kuwaiti dinar', NULL, NULL),
    ('BTC', 8, 'native', 'Bitcoin', 'bitcoin', NULL),
    ('ETH', 18, 'native', 'Ether', 'ethereum', NULL),
    ('SOL', 9, 'native', 'Solana', 'solana', NULL),
    ('XLM', 7, 'native', 'Stellar lumen', 'stellar', NULL)
) AS seed (code, scale, kind, name, chain, contract);
INSERT INTO ledger.accounts (id, kind, asset, floor) SELECT external_account, 'external', code, NULL FROM ledger.assets;
