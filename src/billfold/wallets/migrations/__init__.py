"""Numbered SQL of the schema `wallets`."""
