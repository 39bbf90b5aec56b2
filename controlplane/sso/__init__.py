"""Identity providers outside: how each is asked who somebody is."""
