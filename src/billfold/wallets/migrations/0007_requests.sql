-- Movements of money that were accepted to be carried out later. Whether one was, the ledger decides, by its key there:
-- the status here follows.
CREATE TABLE wallets.requests (
    -- UUIDv7: the order of ids is the order of acceptance, by which lists are paged.
    id uuid PRIMARY KEY,
    -- In whose name, and with which rights, it is carried out.
    owner_id uuid NOT NULL,
    user_id uuid,
    credential_id uuid NOT NULL,
    is_session boolean NOT NULL,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    -- The order as it was sent, with its idempotency key and what the two stand for.
    content jsonb NOT NULL,
    key_text text NOT NULL CHECK (length(key_text) BETWEEN 1 AND 255),
    key_digest uuid NOT NULL UNIQUE,
    key_fingerprint bigint NOT NULL,
    -- By the database's clock, by which it expires, too.
    accepted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (isfinite(expires_at)),
    status text NOT NULL DEFAULT 'accepted'
        CHECK (status IN ('accepted', 'processing', 'completed', 'failed', 'cancelled', 'expired')),
    -- What it is to be once the ledger has said that nothing is posted under its key any more.
    ends_as text CHECK (ends_as IN ('failed', 'cancelled', 'expired')),
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- When it is taken next, by whoever looks first.
    due_at timestamptz NOT NULL CHECK (isfinite(due_at)),
    started_at timestamptz,
    ended_at timestamptz,
    transfer_id uuid,
    -- Why it has failed, or why its last try has to be repeated.
    reason text,
    detail text,
    pointer text,
    CHECK ((status IN ('accepted', 'processing')) = (ended_at IS NULL)),
    CHECK ((status = 'completed') = (transfer_id IS NOT NULL)),
    CHECK (status NOT IN ('failed', 'cancelled', 'expired') OR status = coalesce(ends_as, '')),
    CHECK ((status = 'failed') <= (reason IS NOT NULL)),
    CHECK ((reason IS NULL) = (detail IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX requests_owner ON wallets.requests (owner_id, id);
CREATE INDEX requests_open ON wallets.requests (owner_id) WHERE ended_at IS NULL;
CREATE INDEX requests_due ON wallets.requests (due_at) WHERE ended_at IS NULL;

-- A request goes on and never back, whoever writes: what has ended stays as it is.
CREATE FUNCTION wallets.requests_go_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR (OLD.status = 'processing' AND NEW.status = 'accepted')
        OR (OLD.ends_as IS NOT NULL AND NEW.ends_as IS DISTINCT FROM OLD.ends_as)
    THEN
        RAISE EXCEPTION 'request % is % and can''t become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER go_on BEFORE UPDATE ON wallets.requests FOR EACH ROW EXECUTE FUNCTION wallets.requests_go_on();

GRANT SELECT, INSERT ON wallets.requests TO billfold_app;
GRANT UPDATE (status, ends_as, tries, due_at, started_at, ended_at, transfer_id, reason, detail, pointer)
    ON wallets.requests TO billfold_app;
GRANT SELECT ON wallets.requests TO billfold_readonly;
