"""Numbered SQL of the schema `notifications`."""
