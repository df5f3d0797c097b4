"""Prompts in, states of every layer out."""
