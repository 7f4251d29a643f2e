# Paths and messages shared by the scripts; sourced, not run.
# shellcheck shell=bash disable=SC2034  # used by the scripts that source this

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=${QUANTSPEC_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/quantspec}
model=$data/models/SmolLM2-135M-Instruct.Q4_1.gguf

say() { printf '%s\n' "$*" >&2; }
die() {
  say "${0##*/}: error: $*"
  exit 1
}
