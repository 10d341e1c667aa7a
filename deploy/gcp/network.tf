# A network of its own. Nodes have no address on the internet and reach Google's APIs, registry and bucket included,
# by Private Google Access; what comes in from outside comes through a load balancer alone.

resource "google_compute_network" "main" {
  name                    = var.cluster_name
  auto_create_subnetworks = false

  depends_on = [google_project_service.used]
}

# 4,096 nodes, 65,536 pods' addresses (256 a node, 64 on Autopilot) and 4,096 Services.
resource "google_compute_subnetwork" "nodes" {
  name                     = var.cluster_name
  region                   = var.region
  network                  = google_compute_network.main.id
  ip_cidr_range            = "10.16.0.0/20"
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = "10.64.0.0/16"
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = "10.80.0.0/20"
  }
}

resource "google_compute_router" "main" {
  count = var.cloud_nat ? 1 : 0

  name    = var.cluster_name
  region  = var.region
  network = google_compute_network.main.id
}

resource "google_compute_router_nat" "main" {
  count = var.cloud_nat ? 1 : 0

  name                               = var.cluster_name
  region                             = var.region
  router                             = google_compute_router.main[0].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# For a Service of type LoadBalancer: of the region, and of the premium tier, as GKE's load balancer is.
resource "google_compute_address" "api" {
  count = var.static_address ? 1 : 0

  name   = "${var.cluster_name}-api"
  region = var.region

  depends_on = [google_project_service.used]
}
