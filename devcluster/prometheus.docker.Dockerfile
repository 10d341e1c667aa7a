# Prometheus as in prometheus.Dockerfile, built here from its pinned module (the folder that the build sees).
FROM golang:1.26 AS build
WORKDIR /module
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -mod=readonly -trimpath -tags=remove_all_sd,enable_kubernetes_sd -ldflags "-s -w" \
    -o /prometheus github.com/prometheus/prometheus/cmd/prometheus

FROM scratch
COPY --from=build /prometheus /prometheus
USER 65532:65532
ENTRYPOINT ["/prometheus"]
