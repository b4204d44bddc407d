"""How the artefact of named entities is made; not used at run time."""
