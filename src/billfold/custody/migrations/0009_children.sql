-- `child` spends a coin of a transaction that no block has yet, and pays for both.
ALTER TABLE custody.tx_queue DROP CONSTRAINT tx_queue_kind_check,
    ADD CONSTRAINT tx_queue_kind_check
    CHECK (kind IN ('pay', 'clear', 'sweep', 'gas', 'open', 'warm', 'merge', 'child'));
