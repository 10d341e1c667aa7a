"""Cats against dogs: the pipeline that trains the classifier and the server that answers with it."""
