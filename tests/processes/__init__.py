"""The loops of the dispatcher role against a real nats-server, without Postgres."""
