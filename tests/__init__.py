"""Tests, by what they need: `unit` nothing, `integration` real servers."""
