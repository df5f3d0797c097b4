"""LoRA adapters: how they are tuned, many side by side, and put into a model."""
