# Sourced by the other scripts: `environment GROUP...` makes sure that the virtual environment holds
# this project and the dependency groups GROUP... of pyproject.toml, and puts it first in PATH.
#
# VENV         where the virtual environment is (default: .venv in the checkout)
# PYTHON       the interpreter that makes it (default: the newest supported one that is found)
# RUNTIME      cpu or gpu: which build of ONNX Runtime (default: the one that is there, otherwise cpu)
# CONSTRAINTS  a file of versions for pip to keep to, such as constraints.txt (default: none)

set -euo pipefail
# A CDPATH would make cd print; an active environment must not leak into ours.
unset CDPATH PYTHONHOME PYTHONPATH
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
VENV="${VENV:-$ROOT/.venv}"

# The minor versions of Python 3 that are supported, newest first.
MINORS=(14 13 12 11)

# Every place where an interpreter of Python 3.$1 may be; the one that PYTHON names comes first.
candidates() {
  echo "${PYTHON:-}"
  type -aP "python3.$1" python3 python || true
  ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$1".*/bin/python 2>/dev/null | sort -rV || true
  ls -d "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}/cpython-3.$1".*/bin/python3 \
    2>/dev/null | sort -rV || true
}

# Print the interpreter behind $1 if it runs, is Python 3.11 or newer (3.$2, if given), and can make
# virtual environments. A shim of pyenv may be there and run nothing; Debian's Python may lack venv.
usable() {
  "$1" - "${2:-}" 2>/dev/null <<'PROBE'
import sys
minor = sys.argv[1]
if sys.version_info < (3, 11) or minor and sys.version_info[:2] != (3, int(minor)):
    sys.exit(1)
import ensurepip, venv
# Inside a virtual environment: what that was made with.
print(getattr(sys, "_base_executable", "") or sys.executable)
PROBE
}

# Print one usable interpreter of each supported version, newest first.
supported_pythons() {
  local minor candidate
  for minor in "${MINORS[@]}"; do
    while read -r candidate; do
      if usable "$candidate" "$minor"; then break; fi
    done < <(candidates "$minor")
  done
}

find_python() {
  local found
  if [ -n "${PYTHON:-}" ]; then
    if usable "$PYTHON"; then return; fi
    echo "PYTHON is $PYTHON, which is no Python 3.11 or newer with the modules venv and ensurepip." >&2
    return 1
  fi
  found="$(supported_pythons)"
  if [ -n "$found" ]; then
    head -n 1 <<<"$found"
    return
  fi
  echo "No Python 3.11 to 3.14 with the module venv was found (in PATH, of pyenv or of uv)." >&2
  echo "Install one (Debian and Ubuntu: apt install python3 python3-venv), or name one: PYTHON=/path/to/python $0" >&2
  return 1
}

make_environment() {
  local python
  python="$(find_python)"
  echo "Making a virtual environment in $VENV with $("$python" --version) ($python)."
  if ! "$python" -m venv "$VENV"; then
    echo "$python cannot make a virtual environment (Debian and Ubuntu: apt install python3-venv)." >&2
    return 1
  fi
}

# Install with pip. On a terminal, show on one line what pip is at; elsewhere only what goes wrong.
install() {
  local pip=("$VENV/bin/python" -m pip install --disable-pip-version-check)
  if ! [ -t 1 ]; then
    "${pip[@]}" --quiet "$@"
    return
  fi
  "${pip[@]}" --progress-bar off "$@" | while read -r line; do
    case "$line" in
      Collecting* | *Downloading* | Building* | Installing* | Successfully*)
        printf '\r\033[K  %.*s' "$((${COLUMNS:-80} - 3))" "$line"
        ;;
    esac
  done
  printf '\r\033[K'
}

# Succeed if the environment's pip installs dependency groups (PEP 735), as it does from 25.1 on.
knows_groups() {
  "$VENV/bin/python" -c \
    'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1))'
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
  local stamp="$VENV/.installed-$runtime${*:+-$(IFS=-; echo "$*")}"
  local wanted groups=() group
  wanted="$ROOT $(cat pyproject.toml ${CONSTRAINTS:+"$CONSTRAINTS"} | cksum)"
  for group in "$@"; do groups+=(--group "$group"); done
  if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    echo "Installing faceswap-engine[$runtime]${*:+ with the groups $*} into $VENV; the first time takes a minute or two."
    if [ $# != 0 ] && ! knows_groups; then install --upgrade "pip>=25.1"; fi
    install --editable ".[$runtime]" ${groups[@]+"${groups[@]}"} ${CONSTRAINTS:+--constraint "$CONSTRAINTS"}
    echo "$wanted" >"$stamp"
  fi
  export PATH="$VENV/bin:$PATH"
}
