"""Messaging: the outbox and its relay, consumers with an inbox, the CloudEvents codec, and the embedded NATS server."""
