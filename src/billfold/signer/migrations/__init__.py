"""Numbered SQL of the schema `signer`."""
