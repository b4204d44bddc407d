"""The starter model: a seeded recipe and the result it gives."""
