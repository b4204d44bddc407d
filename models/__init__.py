"""The catalog of served models, adapters, the engine launcher and the starter model."""
