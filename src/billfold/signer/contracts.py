"""What callers give the signer and get from it."""
