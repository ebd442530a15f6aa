CREATE SCHEMA mail;

-- Mails that are still to be sent. A row leaves when its mail is sent or given up, and its values, codes for instance,
-- with it; until then they are sealed (see platform/keys).
CREATE TABLE mail.queue (
    id uuid PRIMARY KEY,
    recipient text NOT NULL CHECK (length(recipient) BETWEEN 3 AND 320),
    template text NOT NULL CHECK (template ~ '^[a-z][a-z0-9_]*$' AND length(template) <= 64),
    locale text NOT NULL CHECK (length(locale) <= 35),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- How often it was taken, and until when nobody else takes it: who sends it has it until then.
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX queue_next_try_at ON mail.queue (next_try_at);

GRANT USAGE ON SCHEMA mail TO billfold_app, billfold_readonly;
GRANT SELECT, INSERT, DELETE ON mail.queue TO billfold_app;
GRANT UPDATE (attempts, next_try_at) ON mail.queue TO billfold_app;
-- Whoever only reads sees no address and no value.
GRANT SELECT (id, template, locale, created_at, attempts, next_try_at) ON mail.queue TO billfold_readonly;
