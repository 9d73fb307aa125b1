# The coordinator, and the command line. Context: the root of the repository; docs/containers.md tells how it is used.
#
# Pin the base in a build of your own, `--build-arg BASE=docker.io/library/debian@sha256:...`: what the tag stands for
# changes. The digest is not written here because no registry of images could be reached when this was made.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
COPY . /srv/cherry
RUN /srv/cherry/deploy/docker/build.sh

# Debian packages alone. `--build-context packages=build/packages` takes those that deploy/package.sh left instead.
FROM scratch AS packages
COPY --from=build /srv/cherry/build/packages/ /

FROM ${BASE} AS coordinator
RUN groupadd --system --gid 880 cherry && \
    useradd --system --uid 880 --gid cherry --home-dir /var/lib/cherry --no-create-home --shell /usr/sbin/nologin cherry
RUN --mount=type=bind,from=packages,target=/packages \
    apt-get update && \
    apt-get install -y --no-install-recommends systemd-standalone-sysusers \
      /packages/cherry-client_*.deb /packages/cherry-coordinator_*.deb && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*
COPY deploy/docker/health.sh /usr/bin/cherry-health
ENV CHERRY_HOME=/var/lib/cherry
USER 880:880
VOLUME /var/lib/cherry
EXPOSE 7070 7071
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["cherry-health", "7071"]
ENTRYPOINT ["cherry-coordinator"]
