# Images: REGION-docker.pkg.dev/PROJECT/cats-dogs/{operator,trainer,server,mlflow}.
#
# Nothing is cleaned up by itself. A multi-platform image and its provenance are versions without a tag below one that has
# a tag, so that deleting what is untagged can break what runs; and an old trainer's digest is part of its models' versions:
# a model can be trained again only as long as that image is there. To thin out by hand: docs/gke.md.

resource "google_artifact_registry_repository" "images" {
  repository_id = "cats-dogs"
  description   = "Images of cats-dogs: operator, trainer, server, MLflow"
  location      = var.region
  format        = "DOCKER"

  depends_on = [google_project_service.used]
}
