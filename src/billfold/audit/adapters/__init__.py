"""Places that take signed heads."""
