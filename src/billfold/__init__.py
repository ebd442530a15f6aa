"""Billfold: people, wallets and money on one double-entry ledger."""

__version__ = "0.1.0"
