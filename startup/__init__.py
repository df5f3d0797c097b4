"""What every run does before its first job, and how jobs that need torch are started."""
