"""The database roles that the other migrations grant to."""
