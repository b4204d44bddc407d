"""Names, addresses and organisations in running text: candidates by rule, decided by a word lattice; works offline."""

ENTITY_TYPES = ("person_name", "address", "organization")
