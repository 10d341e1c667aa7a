# GitHub's workflow gets in without a key: its own token, from GitHub, is exchanged for one of the deployer. Three things must
# fit: the repository by its number, the branch, and the file of the workflow on that branch. A pull request's code never
# has such a token; pull_request_target, which has one of the base branch, fails at the file.

locals {
  github = var.github_repository == "" ? 0 : 1
}

resource "google_iam_workload_identity_pool" "github" {
  count = local.github

  workload_identity_pool_id = "github"
  display_name              = "GitHub Actions"

  depends_on = [google_project_service.used]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count = local.github

  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "cats-dogs"
  display_name                       = "Delivery of cats-dogs"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    "attribute.ref"        = "assertion.ref"
  }
  attribute_condition = join(" && ", [
    "assertion.repository == \"${var.github_repository}\"",
    "assertion.repository_id == \"${var.github_repository_id}\"",
    "assertion.ref == \"refs/heads/${var.github_branch}\"",
    "assertion.workflow_ref == \"${var.github_repository}/.github/workflows/${var.github_workflow}@refs/heads/${var.github_branch}\"",
  ])

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "deployer" {
  count = local.github

  account_id   = "${var.cluster_name}-deployer"
  display_name = "Delivery from GitHub"

  depends_on = [google_project_service.used]
}

resource "google_service_account_iam_member" "deployer" {
  count = local.github

  service_account_id = google_service_account.deployer[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository/${var.github_repository}"
}

resource "google_artifact_registry_repository_iam_member" "deployer" {
  count = local.github

  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.deployer[0].member
}

# For the summary of a delivery: are there photographs, and what evaluation wrote of the model.
resource "google_storage_bucket_iam_member" "deployer_list" {
  count = local.github

  bucket = google_storage_bucket.data.name
  role   = "roles/storage.legacyBucketReader"
  member = google_service_account.deployer[0].member
}

resource "google_storage_bucket_iam_member" "deployer_read" {
  count = local.github

  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.deployer[0].member

  condition {
    title      = "deployer-reads"
    expression = "resource.name.startsWith(\"${local.objects}/models/cats-dogs/\")"
  }
}

# The door of the cluster and nothing behind it: what the deployer may do there, deploy/delivery/rights.yaml says. Google's
# own roles either lack container.clusters.connect or read or write all namespaces as well.
resource "google_project_iam_custom_role" "door" {
  count = local.github

  role_id     = "${replace(var.cluster_name, "-", "_")}_door"
  title       = "Find and reach a GKE cluster"
  description = "gcloud container clusters get-credentials --dns-endpoint, and no right within"
  permissions = ["container.clusters.connect", "container.clusters.get", "container.clusters.list"]
}

resource "google_project_iam_member" "deployer" {
  count = local.github

  project = var.project
  role    = google_project_iam_custom_role.door[0].name
  member  = google_service_account.deployer[0].member
}
