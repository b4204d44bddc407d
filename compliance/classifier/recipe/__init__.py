"""How the classifier is made: written building blocks, sentences from them, weights, thresholds, card."""
