# The worker with its trainer, and the command line. Targets: `cpu` (the default), and `cuda`, which is 3.8 GB larger.
# Context: the root of the repository; docs/containers.md tells how it is used.
#
# Pin the base in a build of your own, `--build-arg BASE=docker.io/library/debian@sha256:...`: what the tag stands for
# changes. The digest is not written here because no registry of images could be reached when this was made.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
COPY . /srv/cherry
RUN /srv/cherry/deploy/docker/build.sh --cuda

# Debian packages alone. `--build-context packages=build/packages` takes those that deploy/package.sh left instead.
FROM scratch AS packages
COPY --from=build /srv/cherry/build/packages/ /

FROM ${BASE} AS cpu
RUN groupadd --system --gid 880 cherry && \
    useradd --system --uid 880 --gid cherry --home-dir /var/lib/cherry --no-create-home --shell /usr/sbin/nologin cherry
RUN --mount=type=bind,from=packages,target=/packages \
    apt-get update && \
    apt-get install -y --no-install-recommends systemd-standalone-sysusers \
      /packages/cherry-client_*.deb /packages/cherry-worker_*.deb && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*
COPY deploy/docker/health.sh /usr/bin/cherry-health
ENV CHERRY_HOME=/var/lib/cherry
USER 880:880
VOLUME /var/lib/cherry
EXPOSE 7072
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["cherry-health", "7072"]
ENTRYPOINT ["cherry-worker"]

# CUDA's libraries, as docs/debian.md brings them to a host. The driver comes from the host, by NVIDIA's container toolkit.
FROM cpu AS cuda
USER 0:0
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && \
    python3 -m pip install --break-system-packages --no-cache-dir --no-deps --require-hashes --target /usr/local/lib/cherry \
      -r /usr/share/cherry/wheels.txt -r /usr/share/cherry/wheels-cuda.txt && \
    cd /usr/local/lib/cherry && rm -rf torch/lib/libtorch_cpu.so torch/lib/libtorch_python.so torch/include nvidia/*/include && \
    apt-get purge -y --auto-remove python3-pip && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 880:880

FROM cpu
