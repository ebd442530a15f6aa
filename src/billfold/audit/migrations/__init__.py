"""The schema of the audit, in a database of its own."""
