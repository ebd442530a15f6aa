"""PostgreSQL: the pool and its transactions, migrations, and the embedded server."""
