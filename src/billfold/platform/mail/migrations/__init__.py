"""SQL of the schema `mail`."""
