"""Adapters over one base model, behind an HTTP API of OpenAI's shape, on Ray Serve."""
