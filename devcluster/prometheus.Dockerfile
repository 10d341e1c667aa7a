# Prometheus without its pages: what the local cluster's monitoring and the tests ask is its API.
FROM scratch
COPY prometheus /prometheus
USER 65532:65532
ENTRYPOINT ["/prometheus"]
