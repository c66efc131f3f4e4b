# One image per service, of one build: `make images`, or `docker build --target indexer --tag penstock-indexer .`
# Every image is the base, Python, and /opt/penstock: the packages of its extras (requirements.lock, by hash), the wheel.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/*

# Never part of an image: pip, the sources, the wheel.
FROM python AS tools
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /tools \
 && python3 -m venv --without-pip /opt/penstock
WORKDIR /source
ENV PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock pyproject.toml ./
COPY compose/images/ compose/images/

FROM tools AS wheel
RUN --mount=type=cache,target=/var/cache/pip \
    python3 compose/images/requirements.py --only hatchling > hatchling.txt \
 && /tools/bin/pip install --require-hashes -r hatchling.txt
COPY README.md LICENSE ./
COPY libs/ libs/
COPY services/ services/
COPY stack/ stack/
COPY contracts/ contracts/
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# The packages that nearly all have, once: the layers above it share them.
FROM tools AS base-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces

FROM python AS service
# A volume that is mounted on one of these for the first time takes over its owner.
RUN install -d -o 10001 -g 10001 -m 700 /run/secrets/penstock /var/lib/penstock /var/lib/api-keys
# hadolint ignore=DL3064  # folders of secrets, not secrets
ENV PATH=/opt/penstock/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PENSTOCK_HOST=0.0.0.0 PENSTOCK_PORT=8080 \
    PENSTOCK_STATE=/var/lib/penstock \
    PENSTOCK_CREDENTIALS=/run/secrets/penstock PENSTOCK_SECRETS_FOLDER=/run/secrets/penstock \
    PENSTOCK_KEYS_FILE=/var/lib/api-keys/keys.json PENSTOCK_AUTH=nkeys
WORKDIR /var/lib/penstock

FROM base-packages AS ingress-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces ingress

FROM base-packages AS indexer-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces indexer

FROM base-packages AS writer-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces writer

FROM base-packages AS scorer-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces scorer

FROM base-packages AS trainer-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces trainer

FROM base-packages AS authority-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces authority

FROM base-packages AS auditor-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces auditor

FROM base-packages AS edge-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces edge

FROM base-packages AS issuer-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces issuer

FROM base-packages AS cli-packages
RUN --mount=type=cache,target=/var/cache/pip compose/images/install.sh traces writer authority auditor

FROM tools AS code
COPY --from=wheel /wheels /wheels
RUN /tools/bin/pip --python /opt/penstock/bin/python install --no-deps --no-index /wheels/*.whl

FROM service AS ingress
COPY --from=ingress-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.ingress"]

FROM service AS indexer
COPY --from=indexer-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.indexer"]

FROM service AS writer
COPY --from=writer-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.writer"]

FROM service AS scorer
COPY --from=scorer-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.scorer"]

FROM service AS trainer
COPY --from=trainer-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.trainer"]

FROM service AS authority
COPY --from=authority-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.authority"]

FROM service AS auditor
COPY --from=auditor-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.auditor"]

FROM service AS edge
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/*
COPY --from=edge-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
# HAProxy takes no new connections and ends with the last open one; SIGTERM would break them off.
STOPSIGNAL SIGUSR1
USER 10001:10001
CMD ["python3", "-m", "penstock.services.edge"]

FROM service AS issuer
COPY --from=issuer-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.issuer"]

FROM service AS cli
RUN for name in keys ingress indexer writer scorer trainer operator auditor authority edge cli \
      nats nats-2 nats-3 nats-data nats-2-data nats-3-data; do \
      install -d -o 10001 -g 10001 -m 700 "/deploy/$name"; done
COPY --from=cli-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
# Who the audit trail names for a command, unless another name is given: the user id has none.
ENV LOGNAME=penstock
USER 10001:10001
ENTRYPOINT ["penstock"]

FROM service AS operator
COPY --from=base-packages /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 10001:10001
CMD ["python3", "-m", "penstock.services.operator"]
