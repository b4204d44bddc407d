"""The endpoints' shapes: which request fields exist, where text is in a prompt, where it is in an answer."""
