"""What the audit is made of, without any I/O: the tree, its heads, and records as they are hashed."""
