"""The stack as its users run it: `billfold up` and its neighbours, on the real servers."""
