"""Load tests and benchmarks. They know the gateway only as a URL."""
