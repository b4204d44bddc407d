"""How the tables of syllables in configs/foldings are made."""
