-- Accounts of the house that keep a durable nonce have to be opened as well.
ALTER TABLE custody.openings DROP CONSTRAINT openings_kind_check,
    ADD CONSTRAINT openings_kind_check CHECK (kind IN ('channel', 'nonce', 'trustline'));

-- An anchor without a last height is a durable nonce, as `height:value:account`. One account is one allocation's at a time, and a
-- value is never given out again, whatever a node says that is behind.
CREATE UNIQUE INDEX allocations_nonce_account ON custody.allocations (chain, split_part(anchor, ':', 3))
    WHERE anchor IS NOT NULL AND last_height IS NULL AND state IN ('living', 'settling');
CREATE UNIQUE INDEX allocations_nonce_value ON custody.allocations (chain, split_part(anchor, ':', 3), split_part(anchor, ':', 2))
    WHERE anchor IS NOT NULL AND last_height IS NULL;
