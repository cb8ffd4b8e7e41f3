# Sourced by the other scripts: `environment NAME...` makes sure that the virtual environment holds
# this project with the extras NAME..., and puts it first in PATH.
#
# VENV    where the virtual environment is (default: .venv in the checkout)
# PYTHON  the interpreter that makes it (default: the first of python3.11 to python3.14, python3)
# RUNTIME cpu or gpu: which build of ONNX Runtime (default: the one that is there, otherwise cpu)

set -euo pipefail
# A CDPATH would make cd print; an active environment must not leak into ours.
unset CDPATH PYTHONHOME PYTHONPATH
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
VENV="${VENV:-$ROOT/.venv}"

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed and was not found (tried: ${PYTHON:-python3.11 to python3.14, python3, python})." >&2
  echo "Install it (Debian and Ubuntu: apt install python3.11 python3.11-venv), or name one: PYTHON=/path/to/python $0" >&2
  return 1
}

make_environment() {
  local python
  python="$(find_python)"
  echo "Making a virtual environment in $VENV with $("$python" --version)."
  if ! "$python" -m venv "$VENV"; then
    echo "$python cannot make a virtual environment (Debian and Ubuntu: apt install python3-venv)." >&2
    return 1
  fi
}

environment() {
  # An interrupted first run leaves an environment without pip: make it again.
  "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || make_environment
  local runtime="${RUNTIME:-}"
  if [ -z "$runtime" ]; then
    # The two builds of ONNX Runtime own one folder, so the one that is there stays.
    if "$VENV/bin/python" -m pip show --quiet onnxruntime-gpu 2>/dev/null; then runtime=gpu; else runtime=cpu; fi
  fi
  local other=onnxruntime-gpu
  if [ "$runtime" = gpu ]; then other=onnxruntime; fi
  if "$VENV/bin/python" -m pip show --quiet "$other" 2>/dev/null; then
    echo "Removing $other, as the two builds of ONNX Runtime own one folder."
    "$VENV/bin/python" -m pip uninstall --quiet --yes onnxruntime onnxruntime-gpu
    rm -f "$VENV"/.installed-*
  fi
  local extras
  extras="$(IFS=,; echo "$runtime,$*")"
  local stamp="$VENV/.installed-${extras//,/-}"
  local wanted
  wanted="$ROOT $(cksum <pyproject.toml)"
  if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    echo "Installing faceswap-engine[$extras]; the first time takes a while."
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
    echo "$wanted" >"$stamp"
  fi
  export PATH="$VENV/bin:$PATH"
}
