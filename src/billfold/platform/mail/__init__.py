"""Mail: queued in the database transaction that it tells of, rendered and sent by the worker.

README.md has the contract. What a mail says is its context's: the templates are there.
"""
