"""Logs, metrics and health: how a running process tells about itself. No business word lives here."""
