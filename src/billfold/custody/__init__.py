"""Custody: money on chains. This is all that others may import."""

from billfold.custody import contracts, errors

__all__ = ["contracts", "errors"]
