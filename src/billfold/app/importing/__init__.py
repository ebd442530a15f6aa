"""Importing transactions from a file through the REST API: streaming, resumable, each row exactly once.

mapping   which column of the file is what
source    the file as records, one after the other, and how far they were read
rows      a record as a deposit or withdrawal, or why it is none
accounts  the wallets behind the file's accounts
posting   rows to the API in blocks, under a key for each
rejects   the file of rows that could not be imported
memory    how far an import came, kept in a small file
run       all of it together

That no row counts twice rests on the keys alone. The memory only saves the time of asking about what is known.
"""
