"""Training with transformers; nothing here is imported to score a line."""
