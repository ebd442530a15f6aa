"""People at the command line: they register, log in, confirm what needs it, and leave no secret behind."""
