"""Given messages of a stream, when a projection applies them, then these rows stand in Postgres."""
