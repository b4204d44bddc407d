"""The audit log: hash-chained records of requests and administrative acts, signed and verifiable."""
