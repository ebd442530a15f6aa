"""Message brokers: what carries events away, and brings messages in."""
