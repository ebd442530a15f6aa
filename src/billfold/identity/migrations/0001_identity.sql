CREATE SCHEMA identity;

-- Whose wallets and keys they are. People, their aliases and their logins will hang on this.
CREATE TABLE identity.owners (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL
);

-- The key itself is nowhere: only the SHA-256 of it. It has 256 random bits, so it needs neither salt nor a slow hash.
CREATE TABLE identity.api_keys (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL REFERENCES identity.owners (id),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    mode text NOT NULL CHECK (mode IN ('test', 'live')),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    -- The idempotency key with which it was created, and the fingerprint of what was asked then.
    request_digest uuid UNIQUE,
    request_fingerprint bigint,
    created_at timestamptz NOT NULL,
    expires_at timestamptz CHECK (isfinite(expires_at)),
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_owner ON identity.api_keys (owner_id, id);

GRANT USAGE ON SCHEMA identity TO billfold_app, billfold_readonly;
GRANT SELECT ON identity.owners, identity.api_keys TO billfold_app, billfold_readonly;
GRANT INSERT ON identity.owners, identity.api_keys TO billfold_app;
-- What a key may do never changes, and a key never goes: it is revoked. The right to update a name is what locking an
-- owner's row takes.
GRANT UPDATE (name) ON identity.owners TO billfold_app;
GRANT UPDATE (last_used_at, revoked_at) ON identity.api_keys TO billfold_app;
