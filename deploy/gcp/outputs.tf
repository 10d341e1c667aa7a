# The first six are GitHub's variables, in lower case (docs/delivery.md); the last two are for the database's user.

output "gcp_project" {
  description = "GCP_PROJECT"
  value       = var.project
}

output "gcp_region" {
  description = "GCP_REGION"
  value       = var.region
}

output "gke_cluster" {
  description = "GKE_CLUSTER"
  value       = google_container_cluster.main.name
}

output "bucket" {
  description = "BUCKET"
  value       = google_storage_bucket.data.name
}

output "workload_identity_provider" {
  description = "WORKLOAD_IDENTITY_PROVIDER: projects/N/locations/global/workloadIdentityPools/github/providers/cats-dogs"
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}

output "deployer_service_account" {
  description = "DEPLOYER_SERVICE_ACCOUNT: e-mail of the account that the workflow becomes"
  value       = one(google_service_account.deployer[*].email)
}

output "registry" {
  description = "Where images lie, up to the last / but one: REGISTRY/trainer@sha256:..."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "api_address" {
  description = "For spec.expose.address of the ModelServer"
  value       = one(google_compute_address.api[*].address)
}

output "mlflow_database_host" {
  description = "PGHOST of the Secret mlflow-database"
  value       = one(google_sql_database_instance.mlflow[*].private_ip_address)
}

output "mlflow_password_secret" {
  description = "gcloud secrets versions access latest --secret=..., for PGPASSWORD of that Secret"
  value       = one(google_secret_manager_secret.mlflow[*].secret_id)
}
