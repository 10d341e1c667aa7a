"""The stages from raw photographs to a published model, and what runs them.
It must not know Kubernetes: a stage reads a workspace folder and writes to it, the pod protocol is `stage`."""
