"""Makes `.venv` and installs what a target needs; does nothing when nothing changed.

Runs on the system's `python3`, however old, so that a machine that cannot run Lockgate says why in one
sentence. Usage: bootstrap.py (install|dev)
"""

import errno
import hashlib
import os
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
SETS = {"install": "install.txt", "dev": "dev.txt"}


def fail(sentence):
    sys.stderr.write("lockgate: " + sentence + "\n")
    raise SystemExit(1)


def interpreter():
    """Path of the newest suitable python3 on PATH."""
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        try:
            out = subprocess.check_output([name, "-c", "import sys; print(sys.version_info[:2] >= (3, 11))"])
        except (OSError, subprocess.CalledProcessError):
            continue
        if out.strip() == b"True":
            return name
    return fail("Python 3.11 or newer is needed, and none was found on PATH; this one is %d.%d." % sys.version_info[:2])


def fingerprint(path, extra):
    digest = hashlib.sha256()
    for name in [path, os.path.join(ROOT, "pyproject.toml")]:
        with open(name, "rb") as file:
            digest.update(file.read())
    digest.update(extra.encode())
    return digest.hexdigest()


def run(command, sentence):
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail("the disk is full.")
        fail("%s (%s)" % (sentence, error.strerror))
    if done.returncode:
        text = done.stdout.decode(errors="replace")
        if "No space left" in text:
            fail("the disk is full.")
        sys.stderr.write(text[-4000:])
        fail(sentence)


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in SETS:
        fail("usage: bootstrap.py (install|dev)")
    wanted = sys.argv[1]
    requirements = os.path.join(ROOT, "requirements", SETS[wanted])
    python = interpreter()
    version = subprocess.check_output([python, "-V"]).decode().strip()
    stamp = os.path.join(VENV, "stamp-" + wanted)
    now = fingerprint(requirements, version)
    if os.path.exists(stamp) and os.path.exists(PYTHON):
        with open(stamp) as file:
            if file.read() == now:
                return
    print("Installing into .venv (%s) …" % wanted, flush=True)
    if not os.path.exists(PYTHON):
        run(
            [python, "-m", "venv", VENV],
            "Python's venv module does not work here; install it (on Debian: apt-get install python3-venv).",
        )
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(
        pip + ["--require-hashes", "-r", requirements],
        "the packages could not be installed; see the lines above (is the network there?).",
    )
    run(pip + ["--no-deps", "--no-build-isolation", "-e", ROOT], "Lockgate itself could not be installed; see above.")
    with open(stamp, "w") as file:
        file.write(now)


if __name__ == "__main__":
    main()
