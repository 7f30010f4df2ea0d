"""What is open now: entries with their owners, and whether anything has changed since last asked."""
