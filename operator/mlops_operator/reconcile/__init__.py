"""What is wanted, computed from what is observed: pure functions, no I/O and no clock."""
