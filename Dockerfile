FROM python:3.13-slim AS build

WORKDIR /build
RUN python -m venv /opt/boxoffice
ENV PATH=/opt/boxoffice/bin:$PATH
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY LICENSE README.md pyproject.toml ./
COPY generated generated
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim

# A SQLite file, where one is used, is written to the working directory.
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/boxoffice boxoffice
COPY --from=build /opt/boxoffice /opt/boxoffice
# Other containers have to reach it, and there is no TLS: who runs it puts a network of its own, or a
# proxy, before it.
ENV PATH=/opt/boxoffice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BOXOFFICE_GRPC_ADDRESS=0.0.0.0:50051 \
    BOXOFFICE_HTTP_ADDRESS=0.0.0.0:8080
WORKDIR /var/lib/boxoffice
USER 10001
EXPOSE 50051 8080

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-m", "boxoffice_server", "health"]
ENTRYPOINT ["python", "-m", "boxoffice_server"]
CMD ["serve", "--plaintext"]
