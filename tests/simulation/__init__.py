"""The deterministic simulation: real decisions, simulated clock, network, log and machines."""
