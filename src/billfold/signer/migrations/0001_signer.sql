-- This database is the signer's alone: nobody else may even connect. An administrator (or the embedded server) gives the
-- role a password and LOGIN; here it only has to exist before anything is granted to it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'billfold_signer') THEN
        CREATE ROLE billfold_signer NOLOGIN;
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, billfold_app, billfold_readonly', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO billfold_signer', current_database());
END
$$;

CREATE SCHEMA signer;

-- A seed each, sealed under a data key of its own, which a master key of a provider wraps. `version` counts how often it
-- was sealed anew, and is authenticated with it.
CREATE TABLE signer.trees (
    id uuid PRIMARY KEY,
    chain text NOT NULL,
    network text NOT NULL CHECK (network IN ('main', 'test', 'sandbox')),
    public text,
    version integer NOT NULL CHECK (version > 0),
    provider text NOT NULL,
    master_key text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
);

-- What was asked and done, numbered from 0 without a gap. `content` is the text that is hashed, together with the hash of
-- the line before; the other columns are taken from it, to find lines by.
CREATE TABLE signer.log (
    position bigint PRIMARY KEY CHECK (position >= 0),
    at timestamptz NOT NULL,
    decision text NOT NULL,
    request_id uuid,
    digest bytea,
    code text,
    content bytea NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX log_of_refusals ON signer.log (request_id) WHERE decision = 'refused';
CREATE INDEX log_of_drills ON signer.log (position) WHERE decision = 'drilled';

-- What was signed for each request, to be given again. A signature that is not here was given to nobody.
CREATE TABLE signer.signed (
    request_id uuid PRIMARY KEY,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    raw bytea NOT NULL,
    chain_tx text NOT NULL,
    position bigint NOT NULL UNIQUE REFERENCES signer.log
);

-- What has left, in slices of time. They only grow.
CREATE TABLE signer.spending (
    chain text NOT NULL,
    network text NOT NULL,
    token text NOT NULL,
    slice timestamptz NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    PRIMARY KEY (chain, network, token, slice)
);

-- The policy. Of a token that has no limit nothing leaves; '' is the chain's own coin.
CREATE TABLE signer.limits (
    chain text NOT NULL,
    network text NOT NULL,
    token text NOT NULL,
    per_transaction numeric(78, 0) NOT NULL CHECK (per_transaction >= 0),
    per_window numeric(78, 0) NOT NULL CHECK (per_window >= 0),
    window_s integer NOT NULL CHECK (window_s > 0),
    PRIMARY KEY (chain, network, token)
);
CREATE TABLE signer.destinations (
    chain text NOT NULL,
    network text NOT NULL,
    address text NOT NULL,
    PRIMARY KEY (chain, network, address)
);
-- Chains that pay nobody else.
CREATE TABLE signer.allow_lists (
    chain text NOT NULL,
    network text NOT NULL,
    PRIMARY KEY (chain, network)
);

-- For whom seeds may be sealed. Without one none is given out.
CREATE TABLE signer.recipients (
    name text PRIMARY KEY,
    public_key bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
    created_at timestamptz NOT NULL
);

-- What was given out, to be given again. It opens for its recipient alone.
CREATE TABLE signer.exports (
    request_id uuid PRIMARY KEY,
    tree_id uuid NOT NULL REFERENCES signer.trees,
    recipient bytea NOT NULL,
    package bytea NOT NULL,
    position bigint NOT NULL UNIQUE REFERENCES signer.log
);

CREATE FUNCTION signer.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'signer.% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE FUNCTION signer.refuse_less() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.amount < OLD.amount OR (NEW.chain, NEW.network, NEW.token, NEW.slice)
        IS DISTINCT FROM (OLD.chain, OLD.network, OLD.token, OLD.slice) THEN
        RAISE EXCEPTION 'signer.spending only grows' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON signer.log
    FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change();
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON signer.signed
    FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change();
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON signer.exports
    FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change();
CREATE TRIGGER never_taken_away BEFORE DELETE OR TRUNCATE ON signer.spending
    FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE ON signer.spending
    FOR EACH ROW EXECUTE FUNCTION signer.refuse_less();
CREATE TRIGGER never_taken_away BEFORE DELETE OR TRUNCATE ON signer.trees
    FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change();

REVOKE USAGE ON SCHEMA billfold FROM billfold_app, billfold_readonly;
GRANT USAGE ON SCHEMA billfold, signer TO billfold_signer;
GRANT SELECT ON billfold.migrations TO billfold_signer;
GRANT SELECT, INSERT ON signer.trees, signer.log, signer.signed, signer.spending, signer.exports TO billfold_signer;
GRANT UPDATE (version, provider, master_key, sealed) ON signer.trees TO billfold_signer;
GRANT UPDATE (amount) ON signer.spending TO billfold_signer;
GRANT SELECT, INSERT, DELETE ON signer.recipients TO billfold_signer;
GRANT SELECT, INSERT, UPDATE, DELETE ON signer.limits, signer.destinations, signer.allow_lists TO billfold_signer;
