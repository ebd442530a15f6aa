"""Tests of what the bench reckons."""
