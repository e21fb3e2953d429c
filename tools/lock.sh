#!/bin/sh
# Resolves pyproject.toml into the locks: pinned, hashed, the same for every platform and Python,
# and without a word on where packages come from. Pins are kept unless --upgrade is given.
set -eu

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url "$@"
}

compile "$@" pyproject.toml --extra server --extra uvloop --extra sandbox --group build \
    --output-file requirements.lock
compile "$@" pyproject.toml --extra server --extra uvloop --extra sandbox --group build --group dev \
    --constraint requirements.lock --output-file requirements-dev.lock
compile "$@" --group gen --output-file requirements-gen.lock
