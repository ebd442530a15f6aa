"""The rules of money: what may be posted, and what a batch does to accounts and holds. No I/O, clock or randomness."""
