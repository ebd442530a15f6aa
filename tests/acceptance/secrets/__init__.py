"""Secrets are planted in a real stack by whatever people do there, and then searched for wherever they must not be."""
