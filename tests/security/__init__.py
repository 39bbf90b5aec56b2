"""What an attacker with some credentials must not be able to do."""
