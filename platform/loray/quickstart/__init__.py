"""The embedded default: a corpus, two tasks and a small model from the Python installation itself."""
