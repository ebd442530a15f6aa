-- The ledger may refuse to move what somebody is given: the wallet has closed meanwhile. Then the claim ends, and the
-- deposit is nobody's as before. The next claim to it has a number of its own, so that the ledger takes it for another.
ALTER TABLE custody.claims ADD COLUMN attempt integer NOT NULL DEFAULT 0;
-- Those before have ended for this, and so do those of a server that does not know the column yet.
ALTER TABLE custody.ended_claims ADD COLUMN why text NOT NULL DEFAULT 'account_closed';
