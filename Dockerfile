# syntax=docker/dockerfile:1

# npm run release makes dist/, which is all that is in it: broker, agent and command. To pin the base, name its digest:
# docker build --build-arg BASE=node:24.21.0-trixie-slim@sha256:… -t brokkr:0.1.0 .
ARG BASE=node:24.21.0-trixie-slim
FROM ${BASE}

LABEL org.opencontainers.image.title="Brokkr" \
      org.opencontainers.image.description="Broker, agent and command of Brokkr" \
      org.opencontainers.image.licenses="Apache-2.0"

ENV NODE_ENV=production
WORKDIR /opt/brokkr
COPY dist/ ./

# By number, so that Kubernetes can see that it is not root. Nothing in the image may be written by it, or has to be.
USER 65532:65532
EXPOSE 3000 8080 9090
ENTRYPOINT ["node"]
CMD ["brokkr-broker.js", "serve"]
