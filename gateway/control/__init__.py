"""What every control route under /api/v1 shares: who may do what, and how acts are recorded."""
