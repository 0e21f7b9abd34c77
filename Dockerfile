# The image of pnyx for people who have a builder of containers:
#
#   docker build --tag pnyx:0.1.0 .
#
# `cargo xtask image` makes one without any; docs/decisions/0016-image.md compares them.

# The oldest Rust that this repository says it needs (rust-version in Cargo.toml), on the release of Debian that the second
# stage is made from: the program must not need a newer C library than there is.
FROM docker.io/library/rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# The same profile as in tests: optimised, with checks of assertions and overflows. Any other of cargo's can be named.
ARG PROFILE=dev
RUN cargo install --locked --path pnyx --profile "$PROFILE" --root /out --no-track \
    && strip --strip-debug /out/bin/pnyx

# The C library, public authorities, a user called nonroot; no shell and no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/bin/pnyx /usr/bin/pnyx
# OpenSSL inside of Kafka's client was built to look elsewhere, and finds public authorities by this alone.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# By numbers: Kubernetes does not take a name's word that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/bin/pnyx"]
LABEL org.opencontainers.image.title="pnyx" \
      org.opencontainers.image.description="Governance voting that does not gridlock: every component of Pnyx in one program" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
