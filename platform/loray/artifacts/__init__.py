"""What stages hand to each other: immutable folders that exist once their manifest does."""
