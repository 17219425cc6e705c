"""How a base model comes onto this machine: from a package index, the hub, a wheel or a GGUF."""
