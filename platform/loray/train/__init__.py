"""From a dataset's token sequences to an adapter: Ray Train workers, DeepSpeed, NF4."""

STAGE_VERSION = 2
"""Raised whenever a change here changes the weights that come out."""
