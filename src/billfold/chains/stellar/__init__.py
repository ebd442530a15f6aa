"""Stellar: `open` makes its adapter."""
