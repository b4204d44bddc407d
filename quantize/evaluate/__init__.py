"""Compare an artefact with its unquantized base, and say whether it may be admitted to the catalog."""
