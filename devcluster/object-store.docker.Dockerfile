# fake-gcs-server as in object-store.Dockerfile, built here from its pinned module (the folder that the build sees).
FROM golang:1.26 AS build
WORKDIR /module
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "-s -w" -o /fake-gcs-server github.com/fsouza/fake-gcs-server

FROM scratch
COPY --from=build /fake-gcs-server /fake-gcs-server
USER 65532:65532
ENTRYPOINT ["/fake-gcs-server"]
