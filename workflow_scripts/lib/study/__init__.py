"""What a study is: its settings, and whether its data and models allow it."""
