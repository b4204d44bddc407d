"""`/v1/responses`: asked as a chat completion, answered as items and typed events."""
