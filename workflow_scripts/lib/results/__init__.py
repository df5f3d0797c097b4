"""From draws to estimates."""
