"""The operator for TrainingRun and ModelServer.

Layers, outermost first: main, handlers, then reconcile, then builders and status, then api.
"""
