"""Networks for inference, in plain torch."""
