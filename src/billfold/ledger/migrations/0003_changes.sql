-- Counts the changes of what an account's balance shows: entries, holds and the floor. `version` counts entries alone, so
-- of two pictures of an account it can't tell which is the later one when a hold lies between them.
ALTER TABLE ledger.accounts ADD COLUMN changes bigint NOT NULL DEFAULT 0;
GRANT UPDATE (changes) ON ledger.accounts TO billfold_app;
