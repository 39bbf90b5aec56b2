"""A cluster of three nats-servers on one machine."""
