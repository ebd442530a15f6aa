"""SQL over the audit's own database. Nothing here changes or deletes a row: the application may not."""
