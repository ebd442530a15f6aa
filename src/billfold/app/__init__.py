"""The composition of everything: settings, roles, the supervisor and the command line. Nothing imports it."""
