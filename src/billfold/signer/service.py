"""The facade of the signer."""
