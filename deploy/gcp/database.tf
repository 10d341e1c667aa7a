# Cloud SQL for MLflow, as an option: PostgreSQL without an address on the internet, with backups and a log to go back to any
# minute of the last week. docs/mlflow.md says how MLflow is told.

locals {
  database = var.mlflow_database ? 1 : 0
}

resource "google_compute_global_address" "services" {
  count = local.database

  name          = "${var.cluster_name}-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 20
  network       = google_compute_network.main.id
}

resource "google_service_networking_connection" "services" {
  count = local.database

  network                 = google_compute_network.main.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services[0].name]

  # Google keeps the peering for days after a database is gone; the network can be deleted all the same.
  deletion_policy = "ABANDON"
}

resource "google_sql_database_instance" "mlflow" {
  count = local.database

  name                = "${var.cluster_name}-mlflow"
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = var.deletion_protection

  settings {
    edition                     = "ENTERPRISE"
    tier                        = var.mlflow_database_tier
    availability_type           = var.mlflow_database_available
    disk_type                   = "PD_SSD"
    disk_size                   = 10
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.main.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 14
      }
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }
  }

  depends_on = [google_service_networking_connection.services]
}

resource "google_sql_database" "mlflow" {
  count = local.database

  name     = "mlflow"
  instance = google_sql_database_instance.mlflow[0].name
}

# Made anew by every run of Terraform, and sent only when mlflow_password_version changes.
ephemeral "random_password" "mlflow" {
  length  = 32
  special = false
}

resource "google_sql_user" "mlflow" {
  count = local.database

  name                = "mlflow"
  instance            = google_sql_database_instance.mlflow[0].name
  password_wo         = ephemeral.random_password.mlflow.result
  password_wo_version = var.mlflow_password_version
  # Roles that own tables can't be dropped; the database goes with its instance.
  deletion_policy = "ABANDON"
}

resource "google_secret_manager_secret" "mlflow" {
  count = local.database

  secret_id = "${var.cluster_name}-mlflow-password"
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.used]
}

resource "google_secret_manager_secret_version" "mlflow" {
  count = local.database

  secret                 = google_secret_manager_secret.mlflow[0].id
  secret_data_wo         = ephemeral.random_password.mlflow.result
  secret_data_wo_version = var.mlflow_password_version
}
