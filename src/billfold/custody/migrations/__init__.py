"""Numbered SQL of the schema `custody`."""
