-- What people have withdrawn within the last day without having approved it by a factor, and without another person's
-- approval. It adds up, so that many small withdrawals are no way around the limit of a large one.
CREATE TABLE wallets.unapproved_withdrawals (
    user_id uuid NOT NULL,
    without text NOT NULL CHECK (without IN ('factor', 'person')),
    -- The request, by its idempotency key and what it asked for: repeating it adds nothing.
    request uuid NOT NULL,
    fingerprint bigint NOT NULL,
    asset text NOT NULL,
    units numeric(78, 0) NOT NULL CHECK (units > 0),
    at timestamptz NOT NULL,
    PRIMARY KEY (user_id, without, request, fingerprint, asset)
);

GRANT SELECT, INSERT, DELETE ON wallets.unapproved_withdrawals TO billfold_app;
GRANT SELECT ON wallets.unapproved_withdrawals TO billfold_readonly;
