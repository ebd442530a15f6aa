"""The SQL of wallets and the mapping of its rows. The only place that names a table of the schema `wallets`."""
