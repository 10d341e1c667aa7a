"""deploy/gcp is read by a parser of Terraform's language: every name that is used is declared and used by somebody,
no right is wider than needed, and it agrees with the rest of the repository."""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from catsdogs import key

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "gcp"
FILES = sorted(FOLDER.glob("*.tf"))
NOTES = ("__comments__", "__inline_comments__")
KINDS = {"resource": "", "data": "data.", "ephemeral": "ephemeral."}  # how an expression refers to each
REFERENCE = re.compile(r"(?<![\w.\"-])((?:(?:data|ephemeral)\.)?(?:google|random)_\w+\.\w+|(?:var|local|module)\.\w+)")


def unquoted(value: Any) -> Any:
    """What the parser gives, without the quotes that it keeps around strings and without comments."""
    if isinstance(value, Mapping):
        return {unquoted(name): unquoted(content) for name, content in value.items() if name not in NOTES}
    if isinstance(value, list):
        return [unquoted(content) for content in value]
    return value[1:-1] if isinstance(value, str) and value.startswith('"') else value


@functools.cache
def parsed(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as stream:
        return dict(unquoted(hcl2.load(stream)))


def blocks(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, or type.name, and content) of each block of a kind, over all files."""
    for file in FILES:
        for block in parsed(file).get(kind, []):
            for name, content in block.items():
                if kind in KINDS:
                    yield from (
                        (f"{name}.{second}", body) for second, body in content.items() if second != "__is_block__"
                    )
                elif name != "__is_block__":
                    yield name, content


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, content in value.items():
            yield from strings(name)
            yield from strings(content)
    elif isinstance(value, list):
        for content in value:
            yield from strings(content)
    elif isinstance(value, str):
        yield value


def the(kind: str, name: str) -> dict[str, Any]:
    [found] = [content for found, content in blocks(kind) if found == name]
    return found


def declared() -> list[str]:
    return [
        *(f"var.{name}" for name, _ in blocks("variable")),
        *(f"local.{name}" for name, _ in blocks("locals")),
        *(f"{prefix}{name}" for kind, prefix in KINDS.items() for name, _ in blocks(kind)),
    ]


def used(besides: str = "") -> set[str]:
    """Every name that an expression refers to, but for those in blocks of the kind `besides`."""
    read = [content for file in FILES for kind, content in parsed(file).items() if kind != besides]
    return {name for content in read for text in strings(content) for name in REFERENCE.findall(text)}


def test_every_file_is_read_and_is_of_a_size_to_be_read() -> None:
    assert {"versions.tf", "variables.tf", "cluster.tf", "identity.tf", "github.tf", "outputs.tf"} <= {
        f.name for f in FILES
    }
    assert all(len(file.read_text().splitlines()) <= 200 for file in FILES)
    hcl2.loads((FOLDER / "terraform.tfvars.example").read_text())
    [tests] = (FOLDER / "tests").glob("*.tftest.hcl")
    runs = [name for run in unquoted(hcl2.loads(tests.read_text()))["run"] for name in run if name != "__is_block__"]
    assert len(runs) == len(set(runs)) == 6


def test_every_name_is_declared_once_and_used() -> None:
    names = declared()
    assert len(names) == len(set(names))
    assert used() - set(names) == set()
    # A variable's own validation is no use of it.
    unused = set(names) - used(besides="variable")
    assert {name for name in unused if name.startswith(("var.", "local.", "data.", "ephemeral."))} == set()


def test_a_name_that_is_not_declared_would_be_found() -> None:
    text = '${"a-${var.one}"} && data.google_project.this.number == local.two + google_storage_bucket.three[0].name'
    assert REFERENCE.findall(text) == [
        "var.one",
        "data.google_project.this",
        "local.two",
        "google_storage_bucket.three",
    ]
    assert REFERENCE.findall('"roles/x" each.value.var resource.name') == []


def test_dependencies_are_resources() -> None:
    waited = [name for _, body in blocks("resource") for name in body.get("depends_on", [])]
    assert waited
    assert {name.strip("${}") for name in waited} <= {name for name, _ in blocks("resource")}


def test_variables_and_outputs_say_what_they_are() -> None:
    variables = dict(blocks("variable"))
    for name, variable in variables.items():
        assert variable["type"], name
        assert len(variable["description"]) > 15, name
        for validation in variable.get("validation", []):
            assert f"var.{name}" in validation["condition"], name
            assert len(validation["error_message"]) > 20, name
    assert {name for name, variable in variables.items() if "default" not in variable} == {"project", "bucket"}
    assert all(output["description"] for _, output in blocks("output"))


def test_the_example_names_variables_that_are_there() -> None:
    lines = (FOLDER / "terraform.tfvars.example").read_text().splitlines()
    named = {found[1] for line in lines if (found := re.match(r"#? ?(\w+) += ", line))}
    assert {"project", "region", "bucket"} <= named
    assert named <= {name for name, _ in blocks("variable")}


def test_versions_are_pinned_and_the_state_is_kept_in_a_bucket() -> None:
    [terraform] = [block for file in FILES for block in parsed(file).get("terraform", [])]
    assert terraform["required_version"].startswith("~> ")
    [providers] = terraform["required_providers"]
    versions = {name: provider["version"] for name, provider in providers.items() if name != "__is_block__"}
    assert set(versions) == {"google", "random"}
    assert all(version.startswith("~> ") for version in versions.values())
    assert [list(backend) for backend in terraform["backend"]] == [["gcs"]]


def granted() -> dict[str, str]:
    return {name: body["role"] for name, body in blocks("resource") if "_iam_" in name and "role" in body}


def test_rights_are_the_least_there_are() -> None:
    assert granted() == {
        "google_artifact_registry_repository_iam_member.deployer": "roles/artifactregistry.writer",
        "google_artifact_registry_repository_iam_member.nodes": "roles/artifactregistry.reader",
        "google_project_iam_member.deployer": "${google_project_iam_custom_role.door[0].name}",
        "google_project_iam_member.nodes": "roles/container.defaultNodeServiceAccount",
        "google_service_account_iam_member.deployer": "roles/iam.workloadIdentityUser",
        "google_storage_bucket_iam_member.deployer_list": "roles/storage.legacyBucketReader",
        "google_storage_bucket_iam_member.deployer_read": "roles/storage.objectViewer",
        "google_storage_bucket_iam_member.list": "roles/storage.legacyBucketReader",
        "google_storage_bucket_iam_member.read": "roles/storage.objectViewer",
        "google_storage_bucket_iam_member.write": "roles/storage.objectUser",
    }
    assert the("resource", "google_project_iam_custom_role.door")["permissions"] == [
        "container.clusters.connect",
        "container.clusters.get",
        "container.clusters.list",
    ]


def test_nothing_is_granted_for_a_whole_project_by_a_basic_or_administrator_role() -> None:
    wide = re.compile(r"roles/(owner|editor|viewer)\b|roles/[\w.]*[aA]dmin\b|\ballUsers\b|\ballAuthenticatedUsers\b")
    for file in FILES:
        assert [text for text in strings(parsed(file)) if wide.search(text)] == [], file.name
    # _binding and _policy would take away what others were given.
    assert [name for name, _ in blocks("resource") if re.search(r"_iam_(binding|policy)\.", name)] == []
    assert [name for name, _ in blocks("resource") if name.startswith("google_service_account_key.")] == []


def test_content_of_the_bucket_is_granted_below_prefixes_alone() -> None:
    [models] = the("resource", "google_storage_bucket_iam_member.deployer_read")["condition"]
    assert models["expression"] == f'resource.name.startsWith(\\"${{local.objects}}/{key.MODELS_PREFIX}\\")'
    for verb in ("read", "write"):
        [condition] = the("resource", f"google_storage_bucket_iam_member.{verb}")["condition"]
        assert f"local.below[each.key].{verb}" in condition["expression"]
    [written] = the("resource", "google_storage_bucket_iam_member.write")["condition"]
    assert '!resource.name.startsWith(\\"${local.objects}/${local.raw}\\")' in written["expression"]


def rights() -> dict[str, dict[str, Any]]:
    found = dict(blocks("locals"))
    raw = found["raw"]
    every = {**found["workload_rights"], **found["system_rights"]}
    return {
        name: {
            verb: value if isinstance(value, bool) else [raw if "local.raw" in p else p for p in value]
            for verb, value in right.items()
        }
        for name, right in every.items()
    }


def test_each_account_has_the_prefixes_that_its_program_uses() -> None:
    models, datasets = key.MODELS_PREFIX, key.DATASETS_PREFIX
    assert dict(blocks("locals"))["raw"] == key.RAW_PREFIX
    assert rights() == {
        "trainer": {
            "list": True,
            "read": [key.RAW_PREFIX],
            "write": [datasets, models, key.CHECKPOINTS_PREFIX, f"{key.DVC_PREFIX}/"],
        },
        "model-server": {"list": False, "read": [models], "write": []},
        "model-judge": {
            "list": True,
            "read": [datasets, models, key.GOLDEN_PREFIX],
            "write": [key.EVALSETS_PREFIX, "reports/"],
        },
        "mlops-operator": {"list": True, "read": [models, "reports/"], "write": ["ledger/"]},
        "mlflow": {"list": True, "read": [], "write": ["mlflow-artifacts/", "mlflow-backups/"]},
    }


def test_every_prefix_ends_with_a_slash() -> None:
    for name, right in rights().items():
        assert all(prefix.endswith("/") for prefix in [*right["read"], *right["write"]]), name


@pytest.mark.parametrize(
    ("local", "folder", "others"), [("workload_rights", "workloads", set()), ("system_rights", "base", {"mlflow"})]
)
def test_the_accounts_are_those_of_deploy(local: str, folder: str, others: set[str]) -> None:
    files = (ROOT / "deploy" / folder).glob("*.yaml")
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    accounts = {one["metadata"]["name"] for one in documents if one["kind"] == "ServiceAccount"}
    assert set(dict(blocks("locals"))[local]) == accounts | others


def test_the_bucket_is_private_and_forgives_mistakes() -> None:
    buckets = {name: body for name, body in blocks("resource") if name.startswith("google_storage_bucket.")}
    assert buckets
    for name, bucket in buckets.items():
        assert bucket["uniform_bucket_level_access"] is True, name
        assert bucket["public_access_prevention"] == "enforced", name
        assert bucket["force_destroy"] is False, name
        assert [rule["enabled"] for rule in bucket["versioning"]] == [True], name
        assert "var.soft_delete_days" in bucket["soft_delete_policy"][0]["retention_duration_seconds"], name


def test_no_rule_of_the_bucket_deletes_a_live_object_but_a_checkpoint() -> None:
    rules = [
        (
            [action["type"] for action in rule["action"]],
            {n: v for n, v in rule["condition"][0].items() if n != "__is_block__"},
        )
        for rule in the("resource", "google_storage_bucket.data")["lifecycle_rule"]
    ]
    assert rules == [
        (["Delete"], {"days_since_noncurrent_time": "${var.noncurrent_days}", "with_state": "ARCHIVED"}),
        (
            ["Delete"],
            {"days_since_noncurrent_time": 1, "with_state": "ARCHIVED", "matches_prefix": [key.CHECKPOINTS_PREFIX]},
        ),
        (["Delete"], {"age": 30, "matches_prefix": [key.CHECKPOINTS_PREFIX]}),
        (["AbortIncompleteMultipartUpload"], {"age": 7}),
    ]


def test_images_that_have_a_tag_are_never_cleaned_up() -> None:
    policies = the("resource", "google_artifact_registry_repository.images")["cleanup_policies"]
    deleting = [policy["condition"][0] for policy in policies if policy["action"] == "DELETE"]
    assert [condition["tag_state"] for condition in deleting] == ["UNTAGGED"]
    assert [policy["most_recent_versions"][0]["keep_count"] for policy in policies if policy["action"] == "KEEP"] == [
        20
    ]


def test_the_cluster_is_private_and_protected() -> None:
    cluster = the("resource", "google_container_cluster.main")
    assert cluster["private_cluster_config"][0]["enable_private_nodes"] is True
    [endpoints] = cluster["control_plane_endpoints_config"]
    assert endpoints["ip_endpoints_config"][0]["enabled"] is False
    assert cluster["deletion_protection"] == "${var.deletion_protection}"
    assert cluster["monitoring_config"][0]["managed_prometheus"][0]["enabled"] is True
    [node] = the("resource", "google_container_node_pool.pool")["node_config"]
    assert node["workload_metadata_config"][0]["mode"] == "GKE_METADATA"


def test_github_gets_in_from_one_repository_branch_and_workflow() -> None:
    provider = the("resource", "google_iam_workload_identity_pool_provider.github")
    claims = re.findall(r"assertion\.(\w+) ==", provider["attribute_condition"])
    assert claims == ["repository", "repository_id", "ref", "workflow_ref"]
    assert "${var.github_workflow}@refs/heads/${var.github_branch}" in provider["attribute_condition"]


def test_the_outputs_are_githubs_variables() -> None:
    wanted = [
        "GCP_PROJECT",
        "GCP_REGION",
        "GKE_CLUSTER",
        "BUCKET",
        "WORKLOAD_IDENTITY_PROVIDER",
        "DEPLOYER_SERVICE_ACCOUNT",
    ]
    outputs = dict(blocks("output"))
    assert [output["description"].split(":")[0] for output in list(outputs.values())[:6]] == wanted
    assert list(outputs)[:6] == [name.lower() for name in wanted]
    assert outputs["registry"]["value"] == (
        "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
    )
    assert the("resource", "google_artifact_registry_repository.images")["repository_id"] == "cats-dogs"


def test_the_sums_of_the_costs_are_right() -> None:
    lines = (ROOT / "docs" / "gke.md").read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| | idle demo |")) + 2
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")[1:]] for line in lines[begin : begin + 9]]
    costs = [[int(cell.rpartition(" ")[2]) for cell in row] for row in rows]
    assert [sum(column) for column in zip(*costs[:-1], strict=True)] == costs[-1]
    assert rows[-1] == ["49", "148", "770"]
