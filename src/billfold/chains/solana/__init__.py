"""Solana: `open` makes its adapter."""
