# The Google Cloud APIs that are used, and what is known of the project.

data "google_project" "this" {
  project_id = var.project
}

locals {
  services = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "compute.googleapis.com",
      "container.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "storage.googleapis.com",
      "sts.googleapis.com",
    ],
    var.mlflow_database ? ["secretmanager.googleapis.com", "servicenetworking.googleapis.com", "sqladmin.googleapis.com"] : [],
    var.billing_account == "" ? [] : ["billingbudgets.googleapis.com"],
  )
}

resource "google_project_service" "used" {
  for_each = toset(local.services)

  service = each.key
  # Others in the project may use them too.
  disable_on_destroy = false
}
