"""The tables of the signer."""
