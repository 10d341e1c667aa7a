"""The inference server beside its peers: the same model, pictures and clients, in turns on one machine.
It must not change what a peer does beyond what the peer's own documentation offers."""
