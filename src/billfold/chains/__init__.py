"""The chains: what their addresses, transactions, fees and nodes are. A folder each, behind the protocols of `port`.

Nothing here knows of owners, wallets or a ledger. What makes keys and signs is in each chain's `keys` and `signing`,
which the signer alone may import.
"""
