"""Chains of this machine's own, to play with and for tests. Their money is none; nothing in production imports them.

A package for each chain, whose `open` makes its `Devnet`; `serving` is what they have in common: the process, the
control routes, time. Each speaks its chain's own protocol at `/`, so that clients that know nothing of us can use it.
"""
