"""The command line as its users see it, on a whole stack."""
