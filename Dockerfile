# One image for the pages and for the engine; compose.yaml runs both. docs/container.md says more.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim

FROM ${BASE_IMAGE} AS build
# Where packages come from: pip's own default, unless an index is named. One that has PyTorch's builds for CPUs makes the
# image smaller by gigabytes.
ARG PIP_INDEX_URL
ARG TORCH_INDEX
RUN python3 -m venv --without-pip /opt/venv
WORKDIR /opt/vaefrag
# The packages first, and alone: they are a layer that a change of our own files leaves as it is. PyTorch brings its own
# tests and the headers for compiling against it, 190 MB that nothing here reads.
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/packages.txt \
    && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --constraint constraints.txt \
        ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} --requirement /tmp/packages.txt \
    && cd /opt/venv/lib/python3*/site-packages/torch && rm -rf include test bin/*[Tt]est* bin/protoc*
COPY README.md LICENSE ./
COPY vaefrag_core vaefrag_core
COPY app app
COPY assets assets
RUN python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps .

FROM ${BASE_IMAGE}
# No pip, no compiler, no cache comes along. The programs belong to root; what they write goes to /data.
RUN useradd --uid 10001 --create-home vaefrag && install --directory --owner vaefrag --group vaefrag --mode 700 /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_CACHE_HOME=/data/cache \
    VAEFRAG_WORKSPACE=/data \
    VAEFRAG_HOST=0.0.0.0
USER 10001
WORKDIR /home/vaefrag
VOLUME /data
EXPOSE 8050
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["vaefrag", "health"]
CMD ["vaefrag", "serve", "--no-browser"]
