"""SQL over the signer's own database."""
