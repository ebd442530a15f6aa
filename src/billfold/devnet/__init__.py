"""Chains of this machine's own, to play with and for tests. Their money is none; nothing in production imports them."""
