"""The import without an API: files, mappings, rows, rejects and memory."""
