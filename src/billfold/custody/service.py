"""The facade of custody."""
