# The bucket of photographs, data, models, MLflow's artifacts and the ledger (docs/architecture.md has its layout).
#
# Three nets under a mistake: an overwritten or deleted object stays as a noncurrent version for noncurrent_days; what is
# deleted for good stays soft-deleted for soft_delete_days more; and a bucket with objects in it can't be destroyed.

resource "google_storage_bucket" "data" {
  name          = var.bucket
  location      = var.region
  storage_class = "STANDARD"

  # Rights by IAM alone (Workload Identity needs that), and never for the public.
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.soft_delete_days * 24 * 60 * 60
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = var.noncurrent_days
      with_state                 = "ARCHIVED"
    }
  }

  # A training overwrites its checkpoint every 10 s: of those only the last one is worth a day.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 1
      with_state                 = "ARCHIVED"
      matches_prefix             = ["checkpoints/cats-dogs/"]
    }
  }

  # A run removes its checkpoints when its model is published; these are of runs that were given up.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 30
      matches_prefix = ["checkpoints/cats-dogs/"]
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  depends_on = [google_project_service.used]
}
