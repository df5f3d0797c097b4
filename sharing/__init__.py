"""What is done with a study's artifacts beside making them: share, check, fetch, hand on, clear out."""
