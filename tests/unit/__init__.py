"""Tests that need no server, no network and no clock."""
