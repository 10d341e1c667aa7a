# fake-gcs-server: Cloud Storage's protocol on a local folder, for machines without Google Cloud.
FROM scratch
COPY fake-gcs-server /fake-gcs-server
USER 65532:65532
ENTRYPOINT ["/fake-gcs-server"]
