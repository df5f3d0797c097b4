"""What stages share, by subject. Imports nothing from a stage."""
