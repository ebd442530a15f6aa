-- Keys of requests that were accepted and are not posted yet: until one has its answer in `idempotency`, it stands for the
-- request with this fingerprint alone. Whoever accepts a request adds the row, and takes it away with the answer.
CREATE TABLE ledger.reservations (
    digest uuid PRIMARY KEY,
    fingerprint bigint NOT NULL
) WITH (
    -- Every row is deleted soon, and each batch looks here.
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = -1
);

GRANT SELECT, INSERT, DELETE ON ledger.reservations TO billfold_app;
GRANT SELECT ON ledger.reservations TO billfold_readonly;
