"""Rules of identity: no I/O, no clock and no chance. One file for each topic."""
