"""What the gateway tells its operator: logs and request records."""
