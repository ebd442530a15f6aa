"""Runs the examples of the documentation against a real stack."""
