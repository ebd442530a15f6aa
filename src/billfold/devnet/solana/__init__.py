"""Solana on this machine: the JSON-RPC of a node over LiteSVM, Solana's own virtual machine and programs.

What is real: signatures, fees, rent, the system, token, associated-token, memo and compute-budget programs, and what
transactions do to accounts. What is ours: slots, blockhashes, commitment and forks (`chain`), and the answers (`rpc`).
There are no validators, votes or stakes: one node makes all blocks, and a block is confirmed as soon as it is there.
"""

from billfold.devnet.solana.local import Local

__all__ = ["Local"]
