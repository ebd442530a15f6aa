-- Chains whose addresses may be claimed for a proof of reserves; those of a sandbox always may.
CREATE TABLE signer.claims (
    chain text NOT NULL,
    network text NOT NULL,
    PRIMARY KEY (chain, network)
);
CREATE INDEX log_of_claims ON signer.log (request_id) WHERE decision = 'claimed';

GRANT SELECT, INSERT, DELETE ON signer.claims TO billfold_signer;
