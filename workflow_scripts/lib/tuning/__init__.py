"""Ways of tuning a model on a set beside plain LoRA, and the one door to what any of them made."""
