"""How fast, how frugal and how quiet the TrainingRun operator is, on a real API server, beside two peers.
Nothing here is imported by the operator, and no test asserts its times."""
