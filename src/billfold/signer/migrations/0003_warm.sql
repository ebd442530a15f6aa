-- Addresses that are the operator's own: what goes there is not counted against limits.
CREATE TABLE signer.warm_addresses (
    chain text NOT NULL,
    network text NOT NULL,
    address text NOT NULL,
    PRIMARY KEY (chain, network, address)
);

GRANT SELECT, INSERT, DELETE ON signer.warm_addresses TO billfold_signer;
