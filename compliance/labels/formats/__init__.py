"""One file format each: where its metadata holds the label, and what its content is without it."""
