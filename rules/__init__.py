"""What judges the workflow's artifacts: recipes, seals, versions."""
