"""Tests of the composition: settings and restarts."""
