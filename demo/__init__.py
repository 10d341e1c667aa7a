"""The demonstration: from an empty machine to a photograph answered by a served model, in one command."""
