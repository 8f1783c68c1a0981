#!/bin/sh
# A Slurm of one node on this machine, for trying and testing sweeps: `scripts/slurm.sh start [DIR]`, `stop [DIR]`, `node [DIR]`.
# Debian or Ubuntu, as root or with sudo. DIR (by default .slurm) holds its configuration, its state and its logs.
set -eu
dir=$(mkdir -p "${2:-.slurm}" && cd "${2:-.slurm}" && pwd)
[ "$(id -u)" = 0 ] && S= || S=sudo
here=$(hostname -s)

installed() {
  command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
  $S apt-get update -qq
  $S env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >/dev/null
}

configuration() {
  mkdir -p "$dir/state" "$dir/spool" "$dir/log"
  cores=$(nproc)
  memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  cat > "$dir/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$here(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/d.pid
SlurmctldLogFile=$dir/log/ctld.log
SlurmdLogFile=$dir/log/d.log
SlurmctldPort=${ICLMECH_SLURM_PORT:-36817}
SlurmdPort=$((${ICLMECH_SLURM_PORT:-36817} + 1))
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=5
MpiDefault=none
NodeName=$here NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

case "${1:-start}" in
  start)
    installed
    configuration
    if ! munge -n 2>/dev/null | unmunge >/dev/null 2>&1; then
      $S mkdir -p /run/munge && $S chown munge /run/munge && $S su -s /bin/sh munge -c /usr/sbin/munged
    fi
    alive "$dir/ctld.pid" || $S env SLURM_CONF="$dir/slurm.conf" slurmctld -f "$dir/slurm.conf"
    alive "$dir/d.pid" || $S slurmd -f "$dir/slurm.conf"
    n=0
    until SLURM_CONF="$dir/slurm.conf" sinfo -h -o %t 2>/dev/null | grep -Eq 'idle|mix|alloc'; do
      n=$((n + 1)); [ $n -lt 60 ] || { echo "Slurm does not come up; see $dir/log" >&2; exit 1; }; sleep 1
    done
    echo "export SLURM_CONF=$dir/slurm.conf"
    ;;
  node) alive "$dir/d.pid" || $S slurmd -f "$dir/slurm.conf" ;;
  stop)
    for name in d ctld; do alive "$dir/$name.pid" && $S kill "$(cat "$dir/$name.pid")" || true; done
    ;;
  *) echo "expected start, node or stop" >&2; exit 2 ;;
esac
