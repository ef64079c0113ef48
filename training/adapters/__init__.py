"""Adapters: LoRA over a quantized base, and their merging into full weights."""
