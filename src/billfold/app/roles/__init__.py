"""The roles: each module runs one, given the settings."""
