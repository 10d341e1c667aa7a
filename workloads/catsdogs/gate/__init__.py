"""The gate's judge: decides by the pictures of a frozen evaluation set whether a new model may take the place of the
one that serves. It must not change what serves, and must not need what the server's image lacks."""
