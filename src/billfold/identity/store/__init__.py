"""SQL over the schema `identity`. One file for each topic."""
