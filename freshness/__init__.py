"""What judges the artifacts: recipes, seals, and what DVC is to record of them."""
