"""What a run is: frozen pydantic models, read from YAML, checked before anything starts."""
