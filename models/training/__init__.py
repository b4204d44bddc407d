"""Training LoRA adapters on chats: data, training, scores, card, and a manifest that chains the digests."""
