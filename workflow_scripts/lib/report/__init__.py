"""What the report says and shows, worked out from the estimates."""
