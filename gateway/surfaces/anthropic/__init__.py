"""`/v1/messages` and `/v1/messages/count_tokens`: Anthropic's format, passed to vLLM's own endpoints."""
