"""Lines to fields, normalized texts and token ids."""
