-- Owners who have closed their account. They get no wallet any more.
CREATE TABLE wallets.departures (
    owner_id uuid PRIMARY KEY,
    departed_at timestamptz NOT NULL
);

GRANT SELECT, INSERT ON wallets.departures TO billfold_app;
GRANT SELECT ON wallets.departures TO billfold_readonly;
