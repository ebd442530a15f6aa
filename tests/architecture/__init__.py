"""What may know what: the fences between packages, and the proof that they bite."""
