"""Commands that go to the database itself."""
