"""What callers give custody and get from it."""
