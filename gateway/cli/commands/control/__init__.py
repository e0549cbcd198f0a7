"""What operators change while gateways run: keys, teams and deployments, in the database."""
