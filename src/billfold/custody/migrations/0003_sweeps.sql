-- Deposits at addresses of their own are swept to the address that withdrawals are paid from. When one that may leave is looked at
-- next for that; NULL where it lies right already, or has been taken: then `swept_by` is the allocation.
ALTER TABLE custody.deposits ADD sweep_at timestamptz, ADD swept_by uuid REFERENCES custody.allocations;
CREATE INDEX deposits_uncollected ON custody.deposits (chain, sweep_at) WHERE state = 'releasable' AND sweep_at IS NOT NULL;
CREATE INDEX deposits_uncollected_address ON custody.deposits (chain, address)
    WHERE state = 'releasable' AND sweep_at IS NOT NULL;
CREATE INDEX deposits_swept ON custody.deposits (swept_by) WHERE swept_by IS NOT NULL;

-- `sweep` pays from a deposit's address to the house, for nobody; `gas` brings such an address what its sweep costs.
ALTER TABLE custody.tx_queue DROP CONSTRAINT tx_queue_kind_check,
    ADD CONSTRAINT tx_queue_kind_check CHECK (kind IN ('pay', 'clear', 'sweep', 'gas'));

-- What has become releasable before there was sweeping.
UPDATE custody.deposits SET sweep_at = releasable_at
WHERE state = 'releasable' AND kind <> 'house' AND chain IN ('ethereum', 'solana');

GRANT UPDATE (sweep_at, swept_by) ON custody.deposits TO billfold_app;
