"""Artifacts on disk: how they are written, read and checked, and what they say of their making."""
