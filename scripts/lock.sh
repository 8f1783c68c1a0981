#!/bin/sh
# Write what an environment holds as constraints: scripts/lock.sh VENV FILE
set -eu
{
  echo "# Constraints: the versions that the tests run with. Written by scripts/lock.sh."
  "$1/bin/pip" freeze --exclude-editable --exclude iclmech | sed -e 's/ @ file.*//' -e 's/+cpu$//'
} > "$2"
