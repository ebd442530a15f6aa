"""The tables of custody, and their SQL."""
