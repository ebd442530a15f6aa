-- The application may read and write rows but change no schema; readonly may look. An administrator (or the embedded
-- server) gives them a password and LOGIN; here they only have to exist before anything is granted to them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'billfold_app') THEN
        CREATE ROLE billfold_app NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'billfold_readonly') THEN
        CREATE ROLE billfold_readonly NOLOGIN;
    END IF;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA billfold TO billfold_app, billfold_readonly;
GRANT SELECT ON billfold.migrations TO billfold_app, billfold_readonly;
