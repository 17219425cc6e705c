"""The embedded default: corpus, tasks and a small model from the Python installation itself."""
