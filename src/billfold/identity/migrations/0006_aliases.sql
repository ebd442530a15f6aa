-- A name by which money finds its owner. Whoever has claimed an address without proving that it is theirs has a row here
-- and nothing else: it keeps nobody from anything.
CREATE TABLE identity.aliases (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL REFERENCES identity.owners (id),
    kind text NOT NULL CHECK (kind IN ('handle', 'email', 'phone', 'custom')),
    -- As it is shown, as it is found, and what no other of its kind may have: what looks the same has the same skeleton.
    shown text NOT NULL CHECK (length(shown) BETWEEN 1 AND 254),
    canonical text NOT NULL CHECK (length(canonical) BETWEEN 1 AND 254),
    skeleton text NOT NULL CHECK (length(skeleton) BETWEEN 1 AND 254),
    visibility text NOT NULL CHECK (visibility IN ('name', 'masked', 'hidden')),
    created_at timestamptz NOT NULL,
    verified_at timestamptz,
    released_at timestamptz,
    -- Nobody but its last owner can take it before: money meant for them would go to somebody else.
    kept_until timestamptz CHECK (isfinite(kept_until)),
    -- The code that was sent to the address.
    code_hash bytea CHECK (octet_length(code_hash) = 32),
    code_expires_at timestamptz CHECK (isfinite(code_expires_at)),
    code_tries smallint NOT NULL DEFAULT 0,
    taken boolean NOT NULL GENERATED ALWAYS AS (kind IN ('handle', 'custom') OR verified_at IS NOT NULL) STORED,
    CHECK ((released_at IS NULL) = (kept_until IS NULL)),
    CHECK ((code_hash IS NULL) = (code_expires_at IS NULL))
);
CREATE UNIQUE INDEX aliases_found ON identity.aliases (kind, canonical) WHERE taken;
CREATE UNIQUE INDEX aliases_alike ON identity.aliases (kind, skeleton) WHERE taken;
CREATE UNIQUE INDEX aliases_claimed ON identity.aliases (owner_id, kind, canonical) WHERE released_at IS NULL;
CREATE INDEX aliases_owner ON identity.aliases (owner_id, id);

GRANT SELECT, INSERT, DELETE ON identity.aliases TO billfold_app;
-- Whose an alias is never changes.
GRANT UPDATE (visibility, verified_at, released_at, kept_until, code_hash, code_expires_at, code_tries)
    ON identity.aliases TO billfold_app;
GRANT SELECT (id, owner_id, kind, visibility, created_at, verified_at, released_at, kept_until)
    ON identity.aliases TO billfold_readonly;
