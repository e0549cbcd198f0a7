"""What is short-lived and shared between requests: limits, breakers, health."""
