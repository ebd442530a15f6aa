"""How often somebody may do something: counted by this process alone, or by all processes together in a Redis."""
