"""Where models come from, and how they are pinned and loaded."""
