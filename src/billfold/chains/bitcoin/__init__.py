"""Bitcoin: `open` makes its adapter."""
