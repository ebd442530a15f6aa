"""The outside world of identity: other people's protocols, spoken by their libraries."""
