"""One module per child object: dataclass in, dict out.

No builder reads the cluster, the clock or the settings of the process.
"""
