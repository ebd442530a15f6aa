-- The users and databases of docs/how-to/run-on-your-own-servers.md, with passwords for a machine of one's own.
CREATE ROLE billfold_owner LOGIN PASSWORD 'owner-of-a-laptop';
CREATE ROLE billfold_app LOGIN PASSWORD 'app-of-a-laptop';
CREATE ROLE billfold_readonly LOGIN PASSWORD 'readonly-of-a-laptop';
ALTER ROLE billfold_readonly SET default_transaction_read_only = on;

CREATE DATABASE core OWNER billfold_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE core FROM PUBLIC;
GRANT CONNECT ON DATABASE core TO billfold_app, billfold_readonly;

CREATE DATABASE audit OWNER billfold_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE audit FROM PUBLIC;
GRANT CONNECT ON DATABASE audit TO billfold_app, billfold_readonly;
