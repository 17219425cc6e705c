"""LoRA on Ray: one YAML spec takes a corpus to a served adapter."""

__version__ = "0.1.0"
