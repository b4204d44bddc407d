"""A small linear classifier over the 31 risks, and the recipe that makes it."""
