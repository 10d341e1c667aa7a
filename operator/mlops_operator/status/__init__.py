"""What the status says: conditions, stages, failures, results.

Pure functions over what was observed; nothing here writes.
"""
