"""The pure core: no await, clock, chance or I/O."""
