"""What `.ci/run` does (I16): install what the machine lacks, then `make test`, `make check`, `make interop`, each once.

Runs on a machine where nothing was installed by hand. Every step is tried, so that one run shows all that is
wrong; the exit code is 1 when any of them failed. Written for any Python from 3.6 on: nothing is installed yet.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (annotations of collections came with Python 3.9)

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEPS = (
    ("make test", ["make", "test"]),
    ("make check", ["make", "check"]),
    ("make interop", ["make", "interop"]),
)


def main():
    results = []
    for name, command in (("Debian packages", None), *STEPS):
        section(name)
        start = time.time()
        code = install_packages() if command is None else run(command)
        results.append((name, code, time.time() - start))
    section("summary")
    for name, code, seconds in results:
        print("{:16} {:8} {:6.0f} s".format(name, "ok" if code == 0 else "FAILED", seconds))
    return 1 if any(code for _, code, _ in results) else 0


def install_packages():
    """Ask apt for what is missing; `make interop` reports what stays missing and which tests that skips."""
    missing = [package for package, present in wanted_packages() if not present]
    if not missing:
        print("nothing is missing")
        return 0
    if not shutil.which("apt-get") or os.geteuid() != 0:
        print("missing and not installed (no root, or no apt-get): {}".format(" ".join(missing)))
        return 0
    if run(["apt-get", "update", "-q"]):
        return 1
    return run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing])


def wanted_packages():
    yield "make", shutil.which("make")
    yield "python3-venv", importlib.util.find_spec("ensurepip")
    yield "nodejs", shutil.which("node")  # runs Anvil for tests/interop
    yield "npm", shutil.which("npm")
    yield "golang-go", shutil.which("go")  # builds CometBFT for tests/interop
    yield "softhsm2", shutil.which("softhsm2-util")  # a PKCS#11 token, and a TPM: for keystores in hardware
    yield "swtpm", shutil.which("swtpm")
    yield "libtss2-dev", os.path.exists("/usr/include/tss2/tss2_esys.h")
    yield "libtss2-tcti-swtpm0", glob.glob("/usr/lib/*/libtss2-tcti-swtpm.so.0*")
    yield "gcc", shutil.which("gcc")  # builds the binding to the TPM's library
    yield "pkg-config", shutil.which("pkg-config")
    yield "python3-dev", os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))


def run(command):
    print("$ " + " ".join(command))
    sys.stdout.flush()
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.call(command, cwd=REPO, stdin=subprocess.DEVNULL, env=environment)


def section(name):
    print("\n== {} ({})".format(name, time.strftime("%H:%M:%S")))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
