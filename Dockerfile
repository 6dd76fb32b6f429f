FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/oddlot \
 && /opt/oddlot/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY . .
RUN /opt/oddlot/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/oddlot /opt/oddlot
RUN useradd --system --home /var/lib/oddlot --create-home oddlot
USER oddlot
ENV PATH=/opt/oddlot/bin:$PATH ODDLOT_HOME=/var/lib/oddlot
CMD ["oddlot", "--help"]
