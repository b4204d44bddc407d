"""Terms, found as they are and in disguise: docs/disguises.md."""
