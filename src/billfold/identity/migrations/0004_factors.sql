-- An authenticator app (RFC 6238). Its secret is sealed (see platform/keys).
CREATE TABLE identity.totp (
    user_id uuid PRIMARY KEY REFERENCES identity.users (id),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- Which factors there were when this one was begun, as their store names them: they allowed it.
    beside text[] NOT NULL DEFAULT '{}',
    -- It counts once its owner has shown a code of it.
    confirmed_at timestamptz,
    last_used_at timestamptz,
    -- The latest 30 seconds, counted since 1970, whose code was accepted: no code is accepted twice, nor an older one.
    last_step bigint NOT NULL DEFAULT 0,
    -- Attempts since the last right code. Each is counted before it is looked at.
    attempts integer NOT NULL DEFAULT 0,
    blocked_until timestamptz
);

-- Public keys of WebAuthn credentials.
CREATE TABLE identity.passkeys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES identity.users (id),
    credential_id bytea NOT NULL UNIQUE CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL CHECK (octet_length(public_key) <= 4096),
    -- How often its authenticator says it was used; 0 for ever where that doesn't count.
    sign_count bigint NOT NULL CHECK (sign_count >= 0),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- Whether its maker keeps copies of it on other devices of its owner.
    synced boolean NOT NULL,
    transports text[] NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);
CREATE INDEX passkeys_user ON identity.passkeys (user_id, id);

-- The codes are nowhere: only the SHA-256 of their 80 random bits.
CREATE TABLE identity.recovery_codes (
    user_id uuid NOT NULL REFERENCES identity.users (id),
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

-- What an authenticator is to sign, once: for a new passkey of one session, or for a login of nobody knows whom.
CREATE TABLE identity.webauthn_challenges (
    id uuid PRIMARY KEY,
    session_id uuid,
    -- Which factors there were when a new passkey was begun.
    beside text[] NOT NULL DEFAULT '{}',
    challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX webauthn_challenges_end ON identity.webauthn_challenges (expires_at);

-- Logins that have everything but a second factor. The token's text is nowhere: only its SHA-256.
CREATE TABLE identity.pending_logins (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id uuid NOT NULL REFERENCES identity.users (id),
    methods text[] NOT NULL CHECK (cardinality(methods) > 0),
    challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
    attempts integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);
CREATE INDEX pending_logins_end ON identity.pending_logins (expires_at);

-- Operations that wait for a fresh factor. The content is what its user is shown, the digest is what is compared.
CREATE TABLE identity.step_ups (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES identity.users (id),
    operation text NOT NULL,
    content jsonb NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    nonce bytea NOT NULL CHECK (octet_length(nonce) = 32),
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    approved_at timestamptz,
    method text,
    used_at timestamptz,
    -- The idempotency key that has used it, which may do so again.
    request_digest uuid,
    request_fingerprint bigint,
    CHECK ((approved_at IS NULL) = (method IS NULL)),
    CHECK (used_at IS NULL OR approved_at IS NOT NULL)
);
CREATE INDEX step_ups_user ON identity.step_ups (user_id, id);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity.totp, identity.passkeys, identity.recovery_codes,
    identity.webauthn_challenges, identity.pending_logins, identity.step_ups TO billfold_app;
-- Whoever only reads sees no secret, no hash, and nothing that is still to be approved.
GRANT SELECT (user_id, created_at, confirmed_at, last_used_at) ON identity.totp TO billfold_readonly;
GRANT SELECT (id, user_id, synced, created_at, last_used_at) ON identity.passkeys TO billfold_readonly;
GRANT SELECT (user_id, created_at, used_at) ON identity.recovery_codes TO billfold_readonly;
GRANT SELECT (id, user_id, operation, created_at, expires_at, approved_at, method, used_at) ON identity.step_ups
    TO billfold_readonly;
