# Images: REGION-docker.pkg.dev/PROJECT/cats-dogs/{operator,trainer,server,mlflow}.
#
# What runs is never cleaned up: the workflow gives every image that it deploys a tag (the hash of what went into it), and
# only untagged versions are deleted; those below a tagged one, an image's platform and its provenance, the registry itself
# does not let go (GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE). Nor is an old trainer: its digest is part of a model's version, so
# that a model can be trained again only as long as its image is there. To thin out tags by hand: docs/gke.md.

resource "google_artifact_registry_repository" "images" {
  repository_id = "cats-dogs"
  description   = "Images of cats-dogs: operator, trainer, server, MLflow"
  location      = var.region
  format        = "DOCKER"

  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "14d"
    }
  }

  # A policy that keeps wins over one that deletes.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 20
    }
  }

  depends_on = [google_project_service.used]
}
