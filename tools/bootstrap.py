"""Make `.venv` ready: `python3 tools/bootstrap.py install|dev`.

Plain `venv` and `pip`, hash-checked pins from `requirements/`. A stamp in `.venv` remembers what was
installed, so that a second run takes no time. Whatever goes wrong ends in one sentence and exit code 1.

Written for any Python from 3.6 on: an interpreter that is too old must come this far to say so.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (annotations of collections came with Python 3.9)

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")
REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(REPO, ".venv")
STAMP = os.path.join(VENV, "lockgate-installed.json")
LOG = os.path.join(VENV, "install.log")
# Measured on Linux: what pip writes, its downloads beside it, and the built guests.
NEEDED_MB = {"install": 400, "dev": 700}
INCLUDES = {"install": ("install",), "dev": ("install", "dev")}


class Stop(Exception):
    """Ends the run with one sentence."""


def main(arguments):
    if len(arguments) != 1 or arguments[0] not in NEEDED_MB:
        raise Stop("usage: python3 tools/bootstrap.py install|dev")
    wanted = arguments[0]
    if sys.version_info[:2] < OLDEST:
        return start_again_with_a_newer_python(arguments)
    require_venv()
    stamp, digest = read_stamp(), digest_of(wanted)
    same_python = stamp.get("python") == python_identity()
    if same_python and stamp["sets"].get(wanted) == digest:
        return 0
    require_space(wanted)
    if not same_python:
        make_venv(keep=not stamp and os.path.exists(venv_python()) and runs_this_version(venv_python()))
        stamp = {"python": python_identity(), "sets": {}}
    install(wanted)
    stamp["sets"].update({name: digest_of(name) for name in INCLUDES[wanted]})
    with open(STAMP, "w") as file:
        json.dump(stamp, file)
    return 0


def start_again_with_a_newer_python(arguments):
    for name in NEWER_NAMES:
        path = shutil.which(name)
        # A version manager may offer a name that it then refuses to run.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return subprocess.call([path, os.path.abspath(__file__), *arguments])
    raise Stop(
        f"Lockgate needs Python {dotted(OLDEST)} or newer; {sys.executable} is {dotted(sys.version_info[:2])}. "
        "Install a newer one, or name it: make PYTHON=/path/to/python3."
    )


def require_venv():
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        raise Stop(
            f"The Python at {sys.executable} has no venv module, which Lockgate is installed with; "
            "on Debian and Ubuntu: apt install python3-venv."
        )


def require_space(wanted):
    free_mb = shutil.disk_usage(REPO).free // 2**20
    if free_mb < NEEDED_MB[wanted]:
        raise Stop(f"The disk is nearly full: {free_mb} MB free at {REPO}, about {NEEDED_MB[wanted]} MB needed.")


def read_stamp():
    try:
        with open(STAMP) as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return {}
    usable = isinstance(stamp, dict) and isinstance(stamp.get("sets"), dict)
    return stamp if usable and os.path.exists(venv_python()) else {}


def python_identity():
    """A moved work tree or another interpreter needs a new `.venv`: its scripts hold both paths."""
    return f"{os.path.realpath(sys.executable)} {sys.version.split()[0]} {VENV}"


def digest_of(wanted):
    hasher = hashlib.sha256()
    for path in ("pyproject.toml", f"requirements/{wanted}.txt"):
        with open(os.path.join(REPO, path), "rb") as file:
            hasher.update(hashlib.sha256(file.read()).digest())
    return hasher.hexdigest()


def venv_python():
    return os.path.join(VENV, "bin", "python")


def runs_this_version(python):
    """True for a `.venv` that an interrupted run left behind, or that somebody made by hand: it is kept."""
    program = "import sys, pip; print(sys.version)"
    done = subprocess.run([python, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode().strip() == sys.version


def make_venv(keep):
    say(f"Making .venv with Python {sys.version.split()[0]}.")
    if not keep:
        shutil.rmtree(VENV, ignore_errors=True)
    os.makedirs(VENV, exist_ok=True)
    run([sys.executable, "-m", "venv", VENV], "Python could not make a virtual environment")


def install(wanted):
    pins = os.path.join("requirements", wanted + ".txt")
    with open(os.path.join(REPO, pins), encoding="utf-8") as file:
        count = sum(1 for line in file if "==" in line and not line.startswith((" ", "#")))
    say(f"Installing {count} packages from {pins} (about a minute).")
    pip("--require-hashes", "--requirement", pins)
    # setuptools is among the pins: nothing is fetched to build the package itself.
    pip("--no-deps", "--no-build-isolation", "--editable", ".")


def pip(*arguments):
    command = [venv_python(), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", *arguments]
    run(command, "pip could not install what Lockgate needs")


def run(command, failure):
    """Run a command; what it prints goes to the log, and from there into the one sentence."""
    with open(LOG, "wb") as log:
        code = subprocess.call(command, cwd=REPO, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if code == 0:
        return
    with open(LOG, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()] or ["it printed nothing"]
    if any("No space left on device" in line for line in lines):
        raise Stop("The disk is full. Free some space and run the command again.")
    reasons = [line for line in lines if line.startswith(("ERROR", "Error"))] or lines[-1:]
    reason = reasons[0].replace("ERROR: ", "").rstrip(".")
    raise Stop(f"{failure}: {reason} (all it printed: {LOG}).")


def dotted(version):
    return ".".join(str(part) for part in version)


def say(sentence):
    print(sentence)
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        sys.exit(str(stop))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit("The disk is full. Free some space and run the command again.")
        sys.exit(f"Lockgate could not be installed into {VENV}: {error}.")
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next run takes up where this one stopped.")
