"""What Schemathesis sends where the OpenAPI document says "a JPEG or PNG file": real ones.
It is loaded by Schemathesis itself, in a process of its own."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies

from tests.workloads.server.samples import picture

PICTURES = strategies.sampled_from([picture(), picture("PNG"), picture("PNG", "RGBA", (7, 90))])
schemathesis.openapi.format("binary", PICTURES)
for kind in ("image/jpeg", "image/png"):
    schemathesis.openapi.media_type(kind, PICTURES)
