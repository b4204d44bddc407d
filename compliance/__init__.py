"""Text in, verdict out. Knows neither FastAPI nor an HTTP client."""
