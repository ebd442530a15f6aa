"""Rules about money on chains: no I/O, clock or chance."""
