-- A person is an owner who can log in. An e-mail address or a phone number stands here only once it is verified.
CREATE TABLE identity.users (
    id uuid PRIMARY KEY REFERENCES identity.owners (id),
    email text UNIQUE CHECK (length(email) BETWEEN 3 AND 254),
    email_verified_at timestamptz,
    phone text UNIQUE CHECK (phone ~ '^\+[1-9][0-9]{5,14}$'),
    phone_verified_at timestamptz,
    -- Argon2id; none for who logs in elsewhere, or with passkeys alone.
    password_hash text,
    password_changed_at timestamptz,
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
    locale text NOT NULL CHECK (locale ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(locale) <= 35),
    time_zone text NOT NULL CHECK (length(time_zone) BETWEEN 1 AND 64),
    roles text[] NOT NULL DEFAULT '{user}' CHECK (
        cardinality(roles) > 0
        AND roles <@ '{user,support,compliance,treasurer,auditor,admin,service}'::text[]
        -- Scopes of several roles add up: rights to one's own things would reach everybody's.
        AND NOT (roles && '{compliance,treasurer,admin}'::text[] AND roles && '{user,service}'::text[])
    ),
    created_at timestamptz NOT NULL,
    closed_at timestamptz,
    CHECK ((email IS NULL) = (email_verified_at IS NULL)),
    CHECK ((phone IS NULL) = (phone_verified_at IS NULL)),
    -- Whoever closes an account leaves their address behind, so that it can be used again.
    CHECK (closed_at IS NULL OR (email IS NULL AND phone IS NULL AND password_hash IS NULL))
);

-- A login on one device. It ends by itself, by its user, or with the account.
CREATE TABLE identity.sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES identity.users (id),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    revoked_at timestamptz,
    -- When its user last proved who they are, and how: RFC 8176's words.
    authenticated_at timestamptz NOT NULL,
    methods text[] NOT NULL CHECK (cardinality(methods) > 0),
    device text NOT NULL CHECK (length(device) <= 200),
    address text NOT NULL CHECK (length(address) <= 64)
);
CREATE INDEX sessions_user ON identity.sessions (user_id, id);

-- Each is good for one refresh. Its text is nowhere: only the SHA-256 of its 256 random bits.
CREATE TABLE identity.refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES identity.sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    used_at timestamptz
);
CREATE INDEX refresh_tokens_session ON identity.refresh_tokens (session_id);

-- The keys that sign access tokens. The private half is sealed (see platform/keys).
CREATE TABLE identity.signing_keys (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 8 AND 64),
    public jsonb NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- It is published from the beginning, signs from then on, and is withdrawn when none of its tokens can be valid.
    signs_from timestamptz NOT NULL,
    retired_at timestamptz
);

-- Secrets that every process shares, such as the pepper of passwords, sealed.
CREATE TABLE identity.secrets (
    name text PRIMARY KEY,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
);

GRANT SELECT, INSERT ON identity.users, identity.sessions, identity.refresh_tokens, identity.signing_keys,
    identity.secrets TO billfold_app;
GRANT UPDATE ON identity.users TO billfold_app;
GRANT UPDATE (last_used_at, expires_at, revoked_at, authenticated_at, methods, device, address) ON identity.sessions
    TO billfold_app;
GRANT UPDATE (used_at) ON identity.refresh_tokens TO billfold_app;
GRANT UPDATE (retired_at) ON identity.signing_keys TO billfold_app;
-- What has ended is forgotten after a while.
GRANT DELETE ON identity.sessions, identity.refresh_tokens, identity.signing_keys TO billfold_app;
-- Whoever only reads sees no hash and no secret, and nothing by which somebody is known or found.
GRANT SELECT (id, email_verified_at, phone_verified_at, locale, time_zone, roles, created_at, closed_at)
    ON identity.users TO billfold_readonly;
GRANT SELECT (id, user_id, created_at, last_used_at, expires_at, revoked_at, authenticated_at, methods)
    ON identity.sessions TO billfold_readonly;
