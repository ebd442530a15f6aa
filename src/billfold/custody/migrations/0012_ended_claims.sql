-- A block may have a deposit again when the wallet that was given it has closed. Then it is nobody's, and can be given to
-- somebody else, or sent back. Who was given it before, and why, stays written here.
CREATE TABLE custody.ended_claims (
    deposit_id uuid NOT NULL REFERENCES custody.deposits (id),
    wallet_id uuid NOT NULL,
    account_id uuid NOT NULL,
    claimed_by uuid NOT NULL,
    reason text NOT NULL,
    claimed_at timestamptz NOT NULL,
    transfer_id uuid,
    ended_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deposit_id, ended_at)
);
GRANT SELECT, INSERT ON custody.ended_claims TO billfold_app;
GRANT SELECT ON custody.ended_claims TO billfold_readonly;
GRANT DELETE ON custody.claims TO billfold_app;
-- A claim that is moved is of a deposit of a wallet. Where it is not, the deposit came back before there was this table.
WITH ended AS (
    DELETE FROM custody.claims AS claim USING custody.deposits AS deposit
    WHERE deposit.id = claim.deposit_id AND deposit.kind = 'unmatched' AND claim.transfer_id IS NOT NULL
    RETURNING claim.deposit_id, claim.wallet_id, claim.account_id, claim.claimed_by, claim.reason, claim.claimed_at,
        claim.transfer_id
)
INSERT INTO custody.ended_claims (deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id)
SELECT deposit_id, wallet_id, account_id, claimed_by, reason, claimed_at, transfer_id FROM ended;
