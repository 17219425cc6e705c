"""Looking at a dataset: rows as the model sees them, the report, the quarantine, two of them."""
