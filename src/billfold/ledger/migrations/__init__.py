"""The schema `ledger`."""
