"""Tests that run the bench."""
