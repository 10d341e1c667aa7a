# What nodes are: the account they run as, and the pools of a Standard cluster.

# In place of the default account of Compute Engine, which may be an editor of the whole project.
resource "google_service_account" "nodes" {
  account_id   = "${var.cluster_name}-nodes"
  display_name = "Nodes of ${var.cluster_name}: logs, metrics, pulling images"

  depends_on = [google_project_service.used]
}

resource "google_project_iam_member" "nodes" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

locals {
  # Runs with spec.spot go to spot, those with spec.gpu too to gpu-spot; both pools are empty, and free, between runs.
  pools = !local.standard ? {} : {
    main = {
      machine_type = var.node_machine_type
      nodes        = [min(2, var.max_nodes), var.max_nodes]
      spot         = false
      gpus         = []
    }
    spot = {
      machine_type = var.node_machine_type
      nodes        = [0, var.max_nodes]
      spot         = true
      gpus         = []
    }
    gpu-spot = {
      machine_type = var.gpu.machine_type
      nodes        = [0, var.max_nodes]
      spot         = true
      gpus         = [var.gpu]
    }
  }
}

resource "google_container_node_pool" "pool" {
  for_each = local.pools

  name     = each.key
  cluster  = google_container_cluster.main.id
  location = var.region

  # By zone. Without it a pool is made empty, whatever the least number below.
  initial_node_count = min(each.value.nodes[0], 1)

  autoscaling {
    total_min_node_count = each.value.nodes[0]
    total_max_node_count = each.value.nodes[1]
    location_policy      = each.value.spot ? "ANY" : "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  # One node more while a pool is upgraded, none less: what serves goes on serving.
  upgrade_settings {
    max_surge       = 1
    max_unavailable = 0
  }

  node_config {
    machine_type    = each.value.machine_type
    spot            = each.value.spot
    disk_type       = "pd-balanced"
    disk_size_gb    = 100
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    dynamic "guest_accelerator" {
      for_each = each.value.gpus
      content {
        type  = guest_accelerator.value.type
        count = guest_accelerator.value.count
        gpu_driver_installation_config {
          gpu_driver_version = "LATEST"
        }
      }
    }

    # The operator's pods tolerate it when spec.spot says so; GKE adds nvidia.com/gpu by itself.
    dynamic "taint" {
      for_each = each.value.spot ? [1] : []
      content {
        key    = "cloud.google.com/gke-spot"
        value  = "true"
        effect = "NO_SCHEDULE"
      }
    }

    # Secure boot loads no driver that is not signed; whether NVIDIA's is depends on image and version.
    shielded_instance_config {
      enable_secure_boot = length(each.value.gpus) == 0
    }

    # Pods see the metadata server of GKE, which gives them their own identity and never the node's.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}
