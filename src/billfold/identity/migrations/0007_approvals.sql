-- What a person has asked for and can't have without another one.
CREATE TABLE identity.approvals (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
    -- What is to be done, as the other person reads it and as it is carried out: one and the same.
    content jsonb NOT NULL,
    -- Where the aliases in it led when it was asked for. When they lead elsewhere later, it is not carried out.
    resolved text[] NOT NULL,
    -- What the maker must still be allowed to do when the other person decides; it is carried out with no more than that.
    needs text[] NOT NULL CHECK (cardinality(needs) > 0),
    maker_id uuid NOT NULL REFERENCES identity.users (id),
    -- The session or the API key that asked.
    credential_id uuid NOT NULL,
    -- Whose things it concerns: none of them decides.
    concerns uuid[] NOT NULL,
    -- The maker's idempotency key; its text repeats the request when it is carried out.
    key_digest uuid NOT NULL,
    key_fingerprint bigint NOT NULL,
    key_text text NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > requested_at),
    status text NOT NULL DEFAULT 'pending' CHECK (
        status IN ('pending', 'approved', 'executed', 'failed', 'rejected', 'cancelled', 'expired')
    ),
    checker_id uuid REFERENCES identity.users (id),
    decided_at timestamptz,
    ended_at timestamptz,
    -- Why it was rejected, or has failed.
    reason text CHECK (length(reason) BETWEEN 1 AND 1000),
    -- Whatever else goes wrong: nobody is both.
    CHECK (checker_id <> maker_id),
    CHECK ((checker_id IS NULL) = (decided_at IS NULL)),
    CHECK (status NOT IN ('approved', 'executed', 'failed', 'rejected') OR checker_id IS NOT NULL),
    CHECK ((ended_at IS NULL) = (status IN ('pending', 'approved')))
);
CREATE INDEX approvals_key ON identity.approvals (key_digest);
CREATE INDEX approvals_maker ON identity.approvals (maker_id, id);
-- There are few of these at any time, and the worker looks for them again and again.
CREATE INDEX approvals_open ON identity.approvals (id) WHERE status IN ('pending', 'approved');

GRANT SELECT, INSERT ON identity.approvals TO billfold_app;
-- What was asked for never changes.
GRANT UPDATE (status, checker_id, decided_at, ended_at, reason) ON identity.approvals TO billfold_app;
-- Whoever only reads does not see what of whose is asked for.
GRANT SELECT (id, kind, maker_id, requested_at, expires_at, status, checker_id, decided_at, ended_at)
    ON identity.approvals TO billfold_readonly;
