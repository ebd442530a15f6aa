"""Mechanisms without a business word: database, messaging, web, telemetry."""
