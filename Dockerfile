# One image for every part of Oddlot: worker, trainer, beat, review page, command line. docker-compose.yml says which.
#
# The base is named by version and digest (docs/compose.md). To build on another: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# What rarely changes first: the layer with the dependencies is made anew only when they are.
COPY requirements/run.txt requirements/gpu.txt requirements/build.txt requirements/
RUN python -m venv /opt/oddlot
# --build-arg REQUIREMENTS=gpu brings NVIDIA's libraries, too (docs/gpu.md).
ARG REQUIREMENTS=run
RUN /opt/oddlot/bin/pip install --no-cache-dir --require-hashes -r requirements/${REQUIREMENTS}.txt
RUN python -m venv /opt/build
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY . .
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir /wheel .
RUN /opt/oddlot/bin/pip install --no-cache-dir --no-index --no-deps /wheel/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Oddlot" \
      org.opencontainers.image.description="Batch image inspection: the few odd parts of a night" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/oddlot /opt/oddlot
# A number and not a name: an orchestrator can tell that it is not root.
RUN groupadd --gid 10001 oddlot
RUN useradd --uid 10001 --gid 10001 --home-dir /var/lib/oddlot --create-home --shell /usr/sbin/nologin oddlot
USER 10001:10001
WORKDIR /var/lib/oddlot
ENV PATH=/opt/oddlot/bin:$PATH ODDLOT_HOME=/var/lib/oddlot ODDLOT_LOG=json PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /var/lib/oddlot
CMD ["oddlot", "--help"]
