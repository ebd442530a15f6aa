"""What the signer decides by: rules and arithmetic, without I/O, clock or chance."""
