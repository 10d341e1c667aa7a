"""The inference server: one verified model behind HTTP. It must not answer with any model other than the
one whose SHA-256 it was told, and must not keep or log the pictures that people send."""
