"""TrainingRuns that the API server must refuse, and such that it must take: one line of values per field.

A new field needs two entries: in BAD with words of the message, in GOOD.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HEX = "0123456789abcdef" * 4
IMAGE = f"localhost:5000/cats-dogs/trainer@sha256:{HEX}"
WHOLE, TEXT, FLAG = "must be of type integer", "must be of type string", "must be of type boolean"
OBJECT = "must be of type object"

# By field: values that are refused, each with words that must be in the message beside the field's path.
BAD: Mapping[str, list[tuple[Any, str]]] = {
    "image": [
        *((value, "must name an image by digest") for value in (
            "", "trainer", "trainer:latest", "localhost:5000/trainer:v1", f"trainer@sha512:{HEX}", f"@sha256:{HEX}",
            f"localhost:5000/trainer@sha256:{HEX[:-1]}", f"localhost:5000/trainer@sha256:{HEX}0", f"../x@sha256:{HEX}",
            f"localhost:5000/trainer@sha256:{HEX.upper()}", f"https://x.example/trainer?@sha256:{HEX}",
            f"{IMAGE} ", f" {IMAGE}", f"{IMAGE}\n", f"a b@sha256:{HEX}", f"$(IMAGE)@sha256:{HEX}", f"{IMAGE},{IMAGE}",
        )),
        (5, TEXT), ([IMAGE], TEXT), ("x" * 513, "may not be more than 512"),
    ],
    "bucket": [
        *((value, "must be a bucket's name without gs://") for value in (
            "", "ab", "gs://photos", "photos/raw", "Photos", "-photos", "photos-", ".photos", "photos.", "pho tos",
            "photos\n", "fotos-für-alle", "a_", "../photos",
        )),
        (5, TEXT), (True, TEXT), (["photos"], TEXT), ("x" * 64, "may not be more than 63"),
    ],
    "parameters": [(5, OBJECT), ("epochs=3", OBJECT), ([], OBJECT)],
    "parameters.architecture": [
        *((value, '"SimpleCNN", "DeepCNN"') for value in ("", "ResNet", "simplecnn", "SimpleCNN ")),
        (1, TEXT), (["SimpleCNN"], TEXT),
    ],
    "parameters.epochs": [
        *((value, "greater than or equal to 1") for value in (0, -1, -(2**31))),
        *((value, "less than or equal to 500") for value in (501, 2**31, 2**62)),
        ("20", WHOLE), (1.5, WHOLE), (True, WHOLE), ([1], WHOLE),
    ],
    "parameters.batchSize": [
        (0, "greater than or equal to 1"), (-1, "greater than or equal to 1"), (1025, "less than or equal to 1024"),
        (10**9, "less than or equal to 1024"), ("64", WHOLE), (0.5, WHOLE), (False, WHOLE),
    ],
    "parameters.learningRate": [
        *((value, "should match") for value in (
            "", "0", "0.0", "0.000", "-0.1", "+0.1", "1e-3", "10", "10.5", "01", ".1", "0.", "1.", "0,1", "fast",
            "0.1 ", "NaN", "Infinity", "0x1",
        )),
        (0.002, TEXT), (1, TEXT), ("0.12345678901", "may not be more than 12"),
    ],
    "parameters.imageSize": [
        (31, "greater than or equal to 32"), (0, "greater than or equal to 32"), (257, "less than or equal to 256"),
        (-96, "greater than or equal to 32"), ("96", WHOLE), (96.5, WHOLE),
    ],
    "parameters.seed": [
        (-1, "greater than or equal to 0"), (2**31, "less than or equal to 2147483647"),
        (2**40, "less than or equal to 2147483647"), ("1", WHOLE), (0.1, WHOLE), ([], WHOLE),
    ],
    "parameters.maxTrainSeconds": [
        (0, "greater than or equal to 1"), (-600, "greater than or equal to 1"), (86401, "less than or equal to 86400"),
        ("10m", WHOLE), (1.25, WHOLE),
    ],
    "resources": [("big", OBJECT), (4, OBJECT), ([], OBJECT)],
    "resources.cpu": [
        *((value, "must be whole cores or thousandths") for value in (
            "", "0", "0m", "-1", "1.5", "much", "1 ", "1M", "1e3", "01", "1000", "m", "500mm",
        )),
        (1, TEXT), (0.5, TEXT), ("123456789", "may not be more than 8"),
    ],
    "resources.memory": [
        *((value, "must be a whole number of Mi or Gi") for value in (
            "", "0", "0Gi", "4", "4G", "4M", "4Ti", "4Ki", "-4Gi", "4.5Gi", "4 Gi", "Gi", "4gi", "04Gi",
        )),
        (4, TEXT), ("12345678901Gi", "may not be more than 10"),
    ],
    "suspend": [("yes", FLAG), ("true", FLAG), (1, FLAG), (0, FLAG), ([], FLAG), ({}, FLAG)],
    "activeDeadlineSeconds": [
        (59, "greater than or equal to 60"), (0, "greater than or equal to 60"), (-1, "greater than or equal to 60"),
        (604801, "less than or equal to 604800"), ("2h", WHOLE), ("7200", WHOLE), (60.5, WHOLE),
    ],
    "pendingDeadlineSeconds": [
        (29, "greater than or equal to 30"), (-30, "greater than or equal to 30"),
        (86401, "less than or equal to 86400"), ("600", WHOLE), (30.5, WHOLE),
    ],
    "retries": [
        (-1, "greater than or equal to 0"), (11, "less than or equal to 10"), (2**31, "less than or equal to 10"),
        ("2", WHOLE), (0.5, WHOLE),
    ],
    "ttlSecondsAfterFinished": [
        (-1, "greater than or equal to 0"), (31536001, "less than or equal to 31536000"), ("1d", WHOLE), (0.5, WHOLE),
    ],
    "gpu": [(1, OBJECT), ("nvidia-l4", OBJECT), (True, OBJECT), ([], OBJECT)],
    "gpu.type": [
        *((value, "must be lower-case letters, digits and dashes") for value in (
            "", "NVIDIA-L4", "nvidia l4", "nvidia_l4", "-l4", "l4-", "nvidia.com/gpu", "l4\n",
        )),
        (4, TEXT), ("x" * 64, "may not be more than 63"),
    ],
    "gpu.count": [
        (0, "greater than or equal to 1"), (-1, "greater than or equal to 1"), (9, "less than or equal to 8"),
        ("1", WHOLE), (0.5, WHOLE),
    ],
    "spot": [("yes", FLAG), ("true", FLAG), (1, FLAG), ([], FLAG)],
    "nodePool": [
        *((value, "must be a node pool's name") for value in (
            "", "Pool", "1pool", "-pool", "pool-", "a.b", "a,b", "a b",
        )),
        (1, TEXT), (["pool"], TEXT), ("x" * 41, "may not be more than 40"),
    ],
    "priorityClassName": [
        *((value, "must be a PriorityClass's name") for value in ("", "High", "-a", "a-", "a_b", "a b", "a/b")),
        *((value, "must not begin with system-") for value in ("system-node-critical", "system-cluster-critical")),
        (1000, TEXT), ("x" * 64, "may not be more than 63"),
    ],
    "forceRerun": [("yes", FLAG), (1, FLAG), ({}, FLAG)],
    "maxPreemptions": [
        (-1, "greater than or equal to 0"), (101, "less than or equal to 100"), ("10", WHOLE), (1.5, WHOLE),
    ],
    # What would hand its author the operator's rights must not even exist.
    **{
        field: [(value, "unknown field")]
        for field, value in {
            "template": {}, "podTemplate": {}, "serviceAccountName": "default", "serviceAccount": "default",
            "namespace": "kube-system", "volumes": [], "volumeMounts": [], "hostPath": "/", "env": [], "envFrom": [],
            "secretRef": "x", "imagePullSecrets": [], "command": ["sh"], "args": [], "securityContext": {},
            "nodeSelector": {}, "tolerations": [], "affinity": {}, "hostNetwork": True, "hostPID": True,
            "nodeName": "x", "initContainers": [], "containers": [], "runtimeClassName": "x", "backoffLimit": 3,
            "labels": {}, "status": {},
            "Image": IMAGE, "buckets": "photos", "parameters.epoch": 3, "parameters.learning_rate": "0.1",
            "parameters.lr": "0.1", "resources.gpu": 1, "resources.limits": {}, "resources.requests": {},
        }.items()
    },
}  # fmt: skip

# By field: values that are taken as they are.
GOOD: Mapping[str, list[Any]] = {
    "image": [IMAGE, f"a@sha256:{HEX}", f"eu-docker.pkg.dev/x/y/trainer:v1@sha256:{HEX}", f"a_b/c@sha256:{HEX}"],
    "bucket": ["abc", "photos.example_1-a", "1photos", "x" * 63],
    "parameters.architecture": ["SimpleCNN", "DeepCNN"],
    "parameters.epochs": [1, 150, 500],
    "parameters.batchSize": [1, 64, 1024],
    "parameters.learningRate": ["0.1", "0.002", "0.0000000001", "1", "9", "9.999", "0.010"],
    "parameters.imageSize": [32, 96, 256],
    "parameters.seed": [0, 1, 2**31 - 1],
    "parameters.maxTrainSeconds": [1, 86400],
    "resources.cpu": ["1", "999", "1m", "500m", "999999m"],
    "resources.memory": ["1Mi", "512Mi", "4Gi", "9999999Gi"],
    "gpu.type": ["nvidia-l4", "x", "nvidia-h100-80gb"],
    "gpu.count": [1, 8],
    "spot": [True, False],
    "nodePool": ["default-pool", "a"],
    "priorityClassName": ["high", "team-a.high", "1"],
    "forceRerun": [True, False],
    "maxPreemptions": [0, 100],
    "suspend": [True, False],
    "activeDeadlineSeconds": [60, 604800],
    "pendingDeadlineSeconds": [30, 86400],
    "retries": [0, 10],
    "ttlSecondsAfterFinished": [0, 31536000],
}  # fmt: skip


def spec_with(field: str, value: Any) -> dict[str, Any]:
    """A spec that says nothing but `field`, such as "parameters.epochs"."""
    first, _, rest = field.partition(".")
    return {first: spec_with(rest, value) if rest else value}


def at(spec: Mapping[str, Any], field: str) -> Any:
    """What a spec says of a field."""
    found: Any = spec
    for part in field.split("."):
        found = found[part]
    return found


def bad() -> Iterator[tuple[str, Any, str]]:
    """All refused specs: field, value, words."""
    return ((field, value, words) for field, rows in BAD.items() for value, words in rows)


def good() -> Iterator[tuple[str, Any]]:
    """All specs that are taken: field, value."""
    return ((field, value) for field, values in GOOD.items() for value in values)
