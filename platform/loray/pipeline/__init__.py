"""The one place that knows every stage: what is stale, and how to make it."""
