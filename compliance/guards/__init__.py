"""Guard models: what to ask one and what its answer means. Whoever asks brings the HTTP client."""
