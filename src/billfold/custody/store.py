"""The tables of custody."""
