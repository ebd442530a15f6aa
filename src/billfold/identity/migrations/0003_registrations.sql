-- Codes that were sent to an address, to be typed in again. Only a hash of each is here, with its own id as salt.
CREATE TABLE identity.codes (
    id uuid PRIMARY KEY,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    used_at timestamptz
);
CREATE INDEX codes_expires_at ON identity.codes (expires_at);

-- Who wants an account. Whoever has the code that was sent to the address, and this id, gets it; any number of people
-- may have asked with the same address, and with one that has an account: they never learn the code.
CREATE TABLE identity.registrations (
    id uuid PRIMARY KEY REFERENCES identity.codes (id) ON DELETE CASCADE,
    email text CHECK (length(email) BETWEEN 3 AND 254),
    phone text CHECK (phone ~ '^\+[1-9][0-9]{5,14}$'),
    password_hash text NOT NULL,
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
    locale text NOT NULL,
    time_zone text NOT NULL,
    CHECK ((email IS NULL) <> (phone IS NULL))
);

-- Another address that somebody wants to have.
CREATE TABLE identity.address_changes (
    id uuid PRIMARY KEY REFERENCES identity.codes (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES identity.users (id),
    email text CHECK (length(email) BETWEEN 3 AND 254),
    phone text CHECK (phone ~ '^\+[1-9][0-9]{5,14}$'),
    CHECK ((email IS NULL) <> (phone IS NULL))
);
CREATE INDEX address_changes_user ON identity.address_changes (user_id);

-- Links to choose a new password. The text of a token is nowhere but in the mail: here is the SHA-256 of its 256 random
-- bits. A row without a user was asked for an address that nobody has: it takes the same time, and opens nothing.
CREATE TABLE identity.password_resets (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id uuid REFERENCES identity.users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    used_at timestamptz
);
CREATE INDEX password_resets_expires_at ON identity.password_resets (expires_at);
CREATE INDEX password_resets_user ON identity.password_resets (user_id);

GRANT SELECT, INSERT, DELETE ON identity.codes, identity.registrations, identity.address_changes,
    identity.password_resets TO billfold_app;
GRANT UPDATE (attempts, used_at) ON identity.codes TO billfold_app;
GRANT UPDATE (used_at) ON identity.password_resets TO billfold_app;
