"""The embedded model: a small LLaMA that is trained here and learns in context (docs/pocket.md)."""
