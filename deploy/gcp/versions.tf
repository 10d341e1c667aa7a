# The state lies in a bucket of its own, made before all of this (docs/gke.md); `terraform init` is told which.
# Nothing secret is in it: the one password made here is write-only.
terraform {
  # Ephemeral values and write-only arguments: the database's password never reaches the state.
  required_version = "~> 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region

  # Calls are counted against this project, not the one that gcloud was set up with: the budget's API insists.
  user_project_override = true
  billing_project       = var.project

  default_labels = {
    app        = "cats-dogs"
    managed-by = "terraform"
  }
}
