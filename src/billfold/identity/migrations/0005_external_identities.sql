-- Who elsewhere is who here: an account of an OpenID Connect provider, which is known by its issuer and subject alone.
-- Names and e-mail addresses change hands; they are never looked up by.
CREATE TABLE identity.external_identities (
    id uuid PRIMARY KEY,
    provider text NOT NULL CHECK (length(provider) BETWEEN 1 AND 32),
    issuer text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 2048),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    -- A person, or the owner of a program.
    owner_id uuid NOT NULL REFERENCES identity.owners (id),
    name text NOT NULL CHECK (length(name) <= 200),
    created_at timestamptz NOT NULL,
    last_login_at timestamptz,
    UNIQUE (issuer, subject)
);
CREATE INDEX external_identities_owner ON identity.external_identities (owner_id, id);

-- Logins that have begun and whose browser is at the provider. What makes them good, the state and the browser's own
-- secret, is nowhere: only the SHA-256 of each; PKCE's verifier and the nonce are made of both.
CREATE TABLE identity.external_logins (
    state_hash bytea PRIMARY KEY CHECK (octet_length(state_hash) = 32),
    browser_hash bytea NOT NULL CHECK (octet_length(browser_hash) = 32),
    provider text NOT NULL,
    return_to text NOT NULL CHECK (length(return_to) <= 500),
    -- The session that links the account; none logs in.
    session_id uuid REFERENCES identity.sessions (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX external_logins_end ON identity.external_logins (expires_at);

GRANT SELECT, INSERT, DELETE ON identity.external_identities, identity.external_logins TO billfold_app;
GRANT UPDATE (last_login_at) ON identity.external_identities TO billfold_app;
GRANT SELECT (id, provider, issuer, owner_id, created_at, last_login_at)
    ON identity.external_identities TO billfold_readonly;
