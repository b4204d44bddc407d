"""What a key, tenant or model may ask for: places, requests and tokens per minute, a fair queue."""
