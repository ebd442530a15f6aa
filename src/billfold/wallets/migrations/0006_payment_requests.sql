-- Money that one owner asks another for. Whether it was paid the ledger decides, by the request's key there: the status
-- here follows, and only ever from open to one of the others.
CREATE TABLE wallets.payment_requests (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    -- Who is asked, and the alias by which they were.
    payer_id uuid NOT NULL CHECK (payer_id <> owner_id),
    alias text NOT NULL CHECK (length(alias) BETWEEN 1 AND 254),
    wallet_id uuid NOT NULL REFERENCES wallets.wallets (id),
    asset text NOT NULL,
    units numeric(78, 0) NOT NULL CHECK (units > 0),
    reference text NOT NULL,
    description text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid', 'declined', 'cancelled')),
    ended_at timestamptz,
    transfer_id uuid,
    -- The idempotency key with which it was made, and the fingerprint of what was asked then.
    request_digest uuid NOT NULL UNIQUE,
    request_fingerprint bigint NOT NULL,
    CHECK ((status = 'open') = (ended_at IS NULL)),
    CHECK ((status = 'paid') = (transfer_id IS NOT NULL))
);
CREATE INDEX payment_requests_outgoing ON wallets.payment_requests (owner_id, id);
CREATE INDEX payment_requests_incoming ON wallets.payment_requests (payer_id, id);

GRANT SELECT, INSERT ON wallets.payment_requests TO billfold_app;
GRANT UPDATE (status, ended_at, transfer_id) ON wallets.payment_requests TO billfold_app;
GRANT SELECT ON wallets.payment_requests TO billfold_readonly;
