"""The programs that the server is measured against: each is started by one command and told MODEL and PORT.
They must not import anything of the server."""
