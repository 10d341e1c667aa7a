"""Each thing that can be wrong outside this repository stops the delivery with one line: what, where, what to set.

Google Cloud, GitHub and docker's builder are stood in for by programs that say what theirs say."""

import re

import pytest

from tests.delivery.steps import ROOT, Steps

SETTINGS = {
    "GCP_PROJECT": "pets-123456",
    "GCP_REGION": "europe-west1",
    "GKE_CLUSTER": "cats-dogs",
    "BUCKET": "pets-photos",
    "WORKLOAD_IDENTITY_PROVIDER": "projects/123/locations/global/workloadIdentityPools/github/providers/github",
    "DEPLOYER_SERVICE_ACCOUNT": "deployer@pets-123456.iam.gserviceaccount.com",
}
REGISTRY = "europe-west1-docker.pkg.dev/pets-123456/cats-dogs"
DENIED = (
    "ERROR: (gcloud.artifacts.repositories.describe) PERMISSION_DENIED: Permission 'artifactregistry.repositories.get' "
    "denied on resource '//artifactregistry.googleapis.com/x' (or it may not exist)."
)


def test_all_settings_are_there(steps: Steps) -> None:
    assert steps.ok("settings", **SETTINGS).errors == []


@pytest.mark.parametrize("name", SETTINGS)
def test_a_missing_setting_is_named_with_its_place(steps: Steps, name: str) -> None:
    line = steps("settings", **{**SETTINGS, name: ""}).error
    assert line.startswith(f"Setting missing::{name} is not set; set it under Settings > Secrets and variables")
    assert f"terraform output -raw {name.lower()}" in line


def test_all_missing_settings_are_said_at_once(steps: Steps) -> None:
    ended = steps("settings")
    assert ended.code == 1
    assert [re.search(r"::(\w+) is not set", line)[1] for line in ended.errors] == list(SETTINGS)  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GCP_PROJECT", "123456"),
        ("GCP_REGION", "europe-west1-b"),
        ("BUCKET", "gs://pets"),
        ("WORKLOAD_IDENTITY_PROVIDER", "github"),
        ("DEPLOYER_SERVICE_ACCOUNT", "deployer"),
    ],
)
def test_a_setting_of_another_form_is_refused(steps: Steps, name: str, value: str) -> None:
    line = steps("settings", **{**SETTINGS, name: value}).error
    assert line.startswith(f"Setting wrong::{name} is '{value}', which is not of the form ")


GCLOUD = """
case "$*" in
*repositories*) {repositories} ;;
*objects*) {objects} ;;
*clusters*) {clusters} ;;
*) echo "unknown: $*" >&2; exit 2 ;;
esac
"""
WELL = {"repositories": "echo x", "objects": "echo Cat/1.jpg", "clusters": "printf 'europe-west1\\tRUNNING\\n'"}


def fails(words: str) -> str:
    """A shell command that says this and fails."""
    return f"cat >&2 <<'SAID'\n{words}\nSAID\nexit 1"


def test_what_the_settings_name_is_there(steps: Steps) -> None:
    steps.program("gcloud", GCLOUD.format(**WELL))
    assert steps.ok("access", **SETTINGS).errors == []


@pytest.mark.parametrize(
    ("what", "says", "begins", "holds"),
    [
        ("repositories", fails(DENIED), "No rights::Artifact Registry repository", "terraform apply"),
        (
            "repositories",
            fails("ERROR: (gcloud.artifacts.repositories.describe) NOT_FOUND: Requested entity was not found."),
            "Not found::Artifact Registry repository cats-dogs in europe-west1 of pets-123456",
            "GCP_REGION",
        ),
        (
            "repositories",
            fails("ERROR: (gcloud) Artifact Registry API has not been used in project 123 before or it is disabled."),
            "API is off::",
            "terraform apply",
        ),
        (
            "objects",
            fails("ERROR: (gcloud.storage.objects.list) HTTPError 404: The specified bucket does not exist."),
            "Not found::Photographs in gs://pets-photos/datasets/cats-dogs/raw/Cat",
            "terraform output",
        ),
        ("objects", "true", "No photographs::gs://pets-photos/datasets/cats-dogs/raw/Cat/ is empty", "BUCKET"),
        (
            "clusters",
            fails(
                "ERROR: (gcloud.container.clusters.list) ResponseError: code=429, message=Quota exceeded for quota "
                "metric 'Read requests' and limit 'Read requests per minute' of service 'container.googleapis.com'."
            ),
            "Quota exceeded::Clusters of pets-123456",
            "IAM & Admin > Quotas",
        ),
        (
            "clusters",
            "printf 'us-east1\\tRUNNING\\n'",
            "Wrong region::cluster cats-dogs is in us-east1",
            "set GCP_REGION to us-east1",
        ),
        ("clusters", "true", "No such cluster::GKE_CLUSTER is cats-dogs", "terraform output"),
        (
            "clusters",
            "printf 'europe-west1\\tSTOPPING\\n'",
            "Cluster not running::cluster cats-dogs is STOPPING",
            "console",
        ),
    ],
)
def test_what_is_wrong_in_the_cloud_is_one_line(steps: Steps, what: str, says: str, begins: str, holds: str) -> None:
    steps.program("gcloud", GCLOUD.format(**{**WELL, what: says}))
    line = steps("access", **SETTINGS).error
    assert line.startswith(begins), line
    assert holds in line


def test_no_cluster_at_all_is_one_line(steps: Steps) -> None:
    line = steps("cluster", GKE_CLUSTER="cats-dogs").error
    assert line.startswith("Unreachable::Asking cluster cats-dogs for its kinds: "), line


def test_a_login_that_the_registry_refuses_is_one_line(steps: Steps) -> None:
    steps.program("gcloud", "echo token")
    steps.program("docker", fails("Error response from daemon: Get https://x/v2/: denied: Unauthenticated request."))
    assert steps("login", REGISTRY=REGISTRY).error.startswith("No rights::Logging in to europe-west1-docker.pkg.dev: ")


GATE = 'echo "$*" >>"$(dirname "$0")/asked"; {}'


def test_the_gate_waits_for_ci_and_passes_when_it_succeeded(steps: Steps) -> None:
    first = 'if [ "$(wc -l <"$(dirname "$0")/asked")" = 1 ]; then echo "in_progress  https://x/1"; '
    steps.program("gh", GATE.format(first + 'else echo "completed success https://x/1"; fi'))
    assert "ci.yaml succeeded: https://x/1" in steps.ok("gate", PAUSE="0").said
    asked = (steps.programs / "asked").read_text().splitlines()
    assert len(asked) == 2
    assert f"--commit={'4' * 40}" in asked[0]


@pytest.mark.parametrize(
    ("says", "begins"),
    [
        ('echo "completed failure https://x/1"', "CI failed::ci.yaml ended as failure for this commit"),
        ("true", "CI missing::ci.yaml has not run for commit 4444"),
        (fails("HTTP 403: Resource not accessible by integration"), "No rights::Asking GitHub for the run of ci.yaml"),
    ],
)
def test_the_gate_stays_shut(steps: Steps, says: str, begins: str) -> None:
    steps.program("gh", GATE.format(says))
    assert steps("gate", PAUSE="0", PATIENCE="0").error.startswith(begins)


def test_every_title_is_explained_in_the_docs() -> None:
    scripts = "".join(file.read_text() for file in sorted((ROOT / "scripts" / "delivery").iterdir()) if file.is_file())
    titles = set(re.findall(r'fail "([A-Z][^"$]+)"', scripts))
    titles |= set(re.findall(r'DeliveryError\(\s*"([A-Z][^"]+)"', scripts))
    titles |= set(re.findall(r'Rule\(\s*"([A-Z][^"]+)"', scripts))
    table = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "delivery.md").read_text(), re.MULTILINE)
    assert {title for title in titles - set(table) if title not in ("Failed", "Wrong use", "No such image")} == set()
    assert len(titles) > 20
