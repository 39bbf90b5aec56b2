"""Long-lived loops: events in, commands out."""
