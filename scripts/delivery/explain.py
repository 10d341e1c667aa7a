"""One line of what a tool's failure means and what to set where: `explain.py DOING <what-it-said`, `--setting NAME`.

It only reads words; it asks nobody. The table is docs/delivery.md's, in the same order; a test holds the two together.
"""

import re
import sys
from dataclasses import dataclass

from actions import error, where


@dataclass(frozen=True)
class Rule:
    """A title, what the tool's words look like, and what to do."""

    title: str
    pattern: str
    remedy: str


# The first that fits counts.
RULES = (
    Rule(
        "Not installed",
        r"no matches for kind|doesn't have a resource type|namespaces \".*\" not found",
        "the operator is not installed in this cluster: docs/install.md",
    ),
    Rule(
        "Quota exceeded",
        r"quota|RESOURCE_EXHAUSTED|toomanyrequests|rate limit",
        "have the quota that it names raised (console: IAM & Admin > Quotas, in GCP_PROJECT and GCP_REGION; a "
        "ResourceQuota: kubectl describe quota -n cats-dogs), or wait until others need less",
    ),
    Rule(
        "Login expired",
        r"Unauthorized|must be logged in|invalid_grant|token (has )?expired|reauth",
        "the login lasts an hour: run the job again, it goes on where it was",
    ),
    Rule(
        "API is off",
        r"SERVICE_DISABLED|has not been used in project|API .* is disabled",
        "`terraform apply` in deploy/gcp turns on the APIs of GCP_PROJECT",
    ),
    Rule(
        "No rights",
        r"PERMISSION_DENIED|[Ff]orbidden|denied|does not have .*(permission|access)|\b403\b",
        "DEPLOYER_SERVICE_ACCOUNT lacks a right: `terraform apply` in deploy/gcp gives those in Google Cloud, "
        "deploy/delivery/rights.yaml those in the cluster",
    ),
    Rule(
        "Unreachable",
        r"Unable to connect|connection refused|i/o timeout|no such host|context deadline exceeded|TLS handshake|"
        r"was refused|no configuration has been provided|network is unreachable",
        "does it run (GKE_CLUSTER in GCP_REGION), and may GitHub's runners reach it (DNS endpoint, deploy/gcp)?",
    ),
    Rule(
        "Not found",
        r"NOT_FOUND|[Nn]ot ?[Ff]ound|name unknown|does not exist|\b404\b",
        "is it the right GCP_PROJECT and GCP_REGION? `terraform output` in deploy/gcp prints what to set",
    ),
)


def explain(doing: str, said: str) -> tuple[str, str]:
    """Title and line for a failure. `said` is what the tool printed, of any length; its telling line is kept."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it said nothing"]
    for rule in RULES:
        if found := next((line for line in lines if re.search(rule.pattern, line)), None):
            return rule.title, f"{doing}: {shortened(found)}; {rule.remedy}"
    return "Failed", f"{doing}: {shortened(lines[-1])}"


def shortened(line: str) -> str:
    """A tool's line without its own label, of at most 300 characters."""
    line = re.sub(r"^(ERROR: |Error from server )", "", line)
    return line if len(line) <= 300 else line[:297] + "..."


def main() -> None:
    """Print the line and return 1: whoever calls has failed."""
    if sys.argv[1] == "--setting":
        line = error("Setting missing", f"{sys.argv[2]} is not set; {where(sys.argv[2])}")
    else:
        line = error(*explain(sys.argv[1], sys.stdin.read()))
    print(line, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
