"""Ethereum: `open` makes its adapter."""
