# Who is told by mail, and a look at the API from outside, for what no metric of the cluster can show: that nobody reaches it.
# All alerts on metrics are Rules in the cluster (deploy/monitoring).

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == "" ? 0 : 1

  display_name = "cats-dogs"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }

  depends_on = [google_project_service.used]
}

resource "google_monitoring_uptime_check_config" "api" {
  count = var.static_address ? 1 : 0

  display_name = "cats-dogs API: a verified model answers"
  period       = "60s"
  timeout      = "10s"

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = google_compute_address.api[0].address
    }
  }

  http_check {
    path = "/health"
    port = 80
    accepted_response_status_codes {
      status_class = "STATUS_CLASS_2XX"
    }
  }

  content_matchers {
    matcher = "MATCHES_JSON_PATH"
    content = "true"
    json_path_matcher {
      json_path    = "$.model_loaded"
      json_matcher = "EXACT_MATCH"
    }
  }
}

resource "google_monitoring_alert_policy" "api" {
  count = var.static_address ? 1 : 0

  display_name          = "cats-dogs API can't be reached"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = google_monitoring_notification_channel.email[*].id

  conditions {
    display_name = "two places in the world get no healthy answer for 3 minutes"
    condition_threshold {
      filter = join(" AND ", [
        "metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\"",
        "resource.type = \"uptime_url\"",
        "metric.label.check_id = \"${google_monitoring_uptime_check_config.api[0].uptime_check_id}\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "180s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
      trigger {
        count = 1
      }
    }
  }

  documentation {
    subject = "cats-dogs API: no healthy answer at ${google_compute_address.api[0].address}"
    content = "`kubectl get msrv -A` says whether a model is ready. If it is, look at the Service's load balancer: `kubectl describe service -n NAMESPACE NAME`."
  }
}
