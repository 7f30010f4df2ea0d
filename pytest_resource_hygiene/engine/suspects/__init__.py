"""What an owner has left: time to go, and what belongs together."""
