-- Where money that is sent to an alias arrives: in the wallet of its asset, or else in the one without an asset (''). An
-- alias is the identity context's; whoever takes a released one anew gets another id.
CREATE TABLE wallets.alias_wallets (
    alias_id uuid NOT NULL,
    asset text NOT NULL,
    wallet_id uuid NOT NULL REFERENCES wallets.wallets (id),
    PRIMARY KEY (alias_id, asset)
);

GRANT SELECT, INSERT, DELETE ON wallets.alias_wallets TO billfold_app;
GRANT SELECT ON wallets.alias_wallets TO billfold_readonly;
