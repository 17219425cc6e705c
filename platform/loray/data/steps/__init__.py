"""What is done to rows: each step marks, and none drops."""
