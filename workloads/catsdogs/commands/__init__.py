"""What the command `catsdogs` does, one module a command.
It must not be imported by the pipeline or the server."""
