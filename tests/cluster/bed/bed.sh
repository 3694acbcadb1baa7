#!/usr/bin/env bash
# tests/cluster/bed/bed.sh: several hosts on one machine, for tests. Needs root and namespaces, no systemd.
#
#   bed.sh up DIR [--hosts 4] [--slurm] [--share FOLDER]...   makes the bed, prints "ready", and stays: the bed lasts as
#                                                             long as this process and the one that started it
#   bed.sh exec DIR HOST COMMAND...                           runs a command on a host, in the folder of the caller
#                                                             where the host has that, else in /
#   bed.sh cut|mend|drop|undrop|crash|poweroff|freeze|thaw DIR HOST
#   bed.sh boot DIR HOST                                      starts it again, and stays until it is down or its caller gone
#   bed.sh rate DIR HOST 200mbit|off                          of its cable, in both directions
#   bed.sh hide DIR HOST FOLDER                               the host no longer sees what lies there
#   bed.sh strays DIR HOST                                    what nobody of the bed's own has left: processes, shared memory
#
# A host is a set of namespaces (net, uts, mount, pid, ipc) with its own name (n1, n2, ...; n0 is the head, where users
# log in), address (10.99.0.K), /tmp, /run, /dev/shm and sshd; it shares DIR, every --share, and whatever lies outside of
# those folders. Cables meet in a bridge that has a network namespace of its own. Nothing has a name outside, so nothing is
# left when the processes are gone, and several beds live side by side.
#
#   cut       the cable is pulled: the host sees it           drop    the cable is in, nothing comes through
#   crash     all processes die, the kernel says goodbye      poweroff  they die behind a pulled cable
#   freeze    all processes are stopped
set -euo pipefail
shopt -s nullglob

die() {
  echo "bed.sh: $*" >&2
  exit 1
}

verb=${1:-}
[ $# -ge 2 ] || { sed -n '2,/^set/{/^#/p}' "$0" >&2 && exit 2; }
dir=$(realpath -m "$2")
shift 2

address() { echo "10.99.0.$((${1#n} + 1))"; }
is_up() { [ -s "$dir/$1.pid" ] && kill -0 "$(<"$dir/$1.pid")" 2>/dev/null; }
enter() { # HOST OPTION... COMMAND...
  local host=$1
  shift
  is_up "$host" || die "$host is down"
  nsenter -t "$(<"$dir/$host.pid")" "$@"
}
at_switch() { nsenter -t "$(<"$dir/switch.pid")" -n "$@"; }

# ---- making it

write_ssh() {
  mkdir -p "$dir/ssh"
  chmod 700 "$dir/ssh"
  ssh-keygen -q -t ed25519 -N '' -f "$dir/ssh/user"
  ssh-keygen -q -t ed25519 -N '' -f "$dir/ssh/host"
  cp "$dir/ssh/user.pub" "$dir/ssh/authorized_keys"
  cat >"$dir/ssh/sshd_config" <<CONF
HostKey $dir/ssh/host
AuthorizedKeysFile $dir/ssh/authorized_keys
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile /run/sshd.pid
MaxStartups 200
CONF
  for host in "$@"; do echo "$host,$(address "$host") $(cut -d' ' -f1-2 "$dir/ssh/host.pub")"; done >"$dir/ssh/known_hosts"
  cat >"$dir/ssh/config" <<CONF
Host n*
  User root
  IdentityFile $dir/ssh/user
  IdentitiesOnly yes
  UserKnownHostsFile $dir/ssh/known_hosts
  ConnectTimeout 5
CONF
}

# Slurm as a site has it, but for cgroups and accounting, which want systemd and a database.
write_slurm() { # COUNT
  local i
  mkdir -p "$dir/slurm/state" "$dir/slurm/log"
  (umask 077 && head -c 128 /dev/urandom >"$dir/slurm/munge.key")
  cat >"$dir/slurm/slurm.conf" <<CONF
ClusterName=bed
SlurmctldHost=n0($(address n0))
AuthType=auth/munge
AuthInfo=socket=/run/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/slurm/state
SlurmdSpoolDir=/run/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=$dir/slurm/log/slurmctld.log
SlurmdLogFile=$dir/slurm/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SwitchType=switch/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=5,sched_interval=5
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=${SLURMD_TIMEOUT:-20}
MessageTimeout=10
TCPTimeout=2
InactiveLimit=0
KillWait=${KILL_WAIT:-5}
MinJobAge=3600
JobRequeue=1
PropagateResourceLimits=NONE
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/slurm/log/jobcomp.txt
AccountingStorageType=accounting_storage/none
CONF
  for ((i = 1; i <= $1; i++)); do
    echo "NodeName=n$i NodeAddr=$(address n$i) CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1" \
      "RealMemory=4000 Gres=gpu:2 State=UNKNOWN" >>"$dir/slurm/slurm.conf"
  done
  cat >>"$dir/slurm/slurm.conf" <<CONF
PartitionName=main Nodes=n[1-$1] Default=YES MaxTime=INFINITE State=UP PriorityTier=10 GraceTime=${GRACE_TIME:-3}
PartitionName=low Nodes=n[1-$1] Default=NO MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=${GRACE_TIME:-3}
CONF
  # A gres wants two character devices that differ; a Count alone makes the node invalid.
  echo "NodeName=n[1-$1] Name=gpu File=/dev/zero,/dev/full" >"$dir/slurm/gres.conf"
  printf 'CgroupPlugin=cgroup/v1\nIgnoreSystemd=yes\n' >"$dir/slurm/cgroup.conf"
}

# What each host runs as its process 1.
write_init() { # SHARE...
  local folder
  cat >"$dir/init.sh" <<INIT
#!/bin/bash
set -e
host=\$1
mount --make-rprivate /
hostname "\$host"
keep=/mnt # this host's own from here on
mount -t tmpfs tmpfs "\$keep"
INIT
  for folder in "$@"; do printf 'mkdir -p "$keep%s" && mount --bind %q "$keep%s"\n' "$folder" "$folder" "$folder"; done >>"$dir/init.sh"
  cat >>"$dir/init.sh" <<'INIT'
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
INIT
  for folder in "$@"; do printf 'mkdir -p %q && mount --bind "$keep%s" %q\n' "$folder" "$folder" "$folder"; done >>"$dir/init.sh"
  cat >>"$dir/init.sh" <<INIT
umount -l "\$keep"
mkdir -p /run/sshd
mount --bind "$dir/hosts" /etc/hosts
/usr/sbin/sshd -f "$dir/ssh/sshd_config" -E "$dir/\$host.sshd.log"
if [ -d "$dir/slurm" ]; then
  export SLURM_CONF=$dir/slurm/slurm.conf LC_ALL=C.UTF-8
  munged --force --key-file="$dir/slurm/munge.key" --socket=/run/munge.sock --pid-file=/run/munge.pid \
    --log-file=/run/munge.log --seed-file=/run/munge.seed --num-threads=2
  mkdir -p /run/slurmd
  if [ "\$host" = n0 ]; then daemon=slurmctld; else daemon=slurmd; fi
  \$daemon
  # It returns before its last fork, whose process counts as the bed's own.
  for _ in \$(seq 500); do [ ! -s /run/\$daemon.pid ] || break; sleep 0.01; done
fi
ps -eo pid=,comm= | awk '\$2 !~ /^(ps|awk)$/ {print \$1}' >/run/bed-own
touch "$dir/\$host.ready"
trap 'exit 0' TERM
while :; do sleep 100000 & wait \$! || true; done
INIT
  chmod +x "$dir/init.sh"
}

boot() { # HOST
  local host=$1 port=p${1#n} outer pid
  ! is_up "$host" || return 0
  rm -f "$dir/$host.ready" "$dir/$host.pid"
  setpriv --pdeathsig KILL unshare --net --uts --mount --pid --ipc --fork --kill-child --mount-proc \
    bash -c 'until ip link show e0 >/dev/null 2>&1; do sleep 0.01; done; exec "$0" "$1"' "$dir/init.sh" "$host" \
    >"$dir/$host.log" 2>&1 </dev/null &
  outer=$!
  for _ in $(seq 200); do
    pid=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null || true)
    [ -z "$pid" ] || break
    sleep 0.01
  done
  [ -n "$pid" ] || die "$host does not start: $(cat "$dir/$host.log")"
  pid=${pid%% *}
  echo "$pid" >"$dir/$host.pid"
  at_switch ip link del "$port" 2>/dev/null || true
  at_switch ip link add "$port" type veth peer name e0 netns "$pid"
  at_switch ip link set "$port" master br0 up
  nsenter -t "$pid" -n sh -c "ip link set lo up; ip addr add $(address "$host")/24 dev e0; ip link set e0 up"
  # A rate is honest with cubic only; a namespace may not choose it for all, but for a route.
  nsenter -t "$pid" -n ip route replace 10.99.0.0/24 dev e0 src "$(address "$host")" congctl cubic 2>/dev/null || true
  for _ in $(seq 500); do
    [ ! -e "$dir/$host.ready" ] || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.02
  done
  die "$host does not start: $(cat "$dir/$host.log")"
}

kill_host() {
  local pid
  pid=$(<"$dir/$1.pid")
  kill -KILL "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
  rm -f "$dir/$1.pid"
}

all_of() { enter "$1" -p -m ps -eo pid= | awk '$1 != 1'; }

case $verb in
  up)
    owner=$PPID hosts=4 slurm=0 shares=("$dir")
    while [ $# -gt 0 ]; do
      case $1 in
        --hosts) hosts=$2 && shift 2 ;;
        --slurm) slurm=1 && shift ;;
        --share) shares+=("$(realpath "$2")") && shift 2 ;;
        *) die "unknown option $1" ;;
      esac
    done
    mkdir -p "$dir"
    mapfile -t shares < <(printf '%s\n' "${shares[@]}" | sort -u) # a folder before what lies in it: mounted later, it would hide it
    names=()
    for ((i = 0; i <= hosts; i++)); do names+=("n$i"); done
    write_ssh "${names[@]}"
    [ $slurm = 0 ] || write_slurm "$hosts"
    write_init "${shares[@]}"
    { echo "127.0.0.1 localhost" && for host in "${names[@]}"; do echo "$(address "$host") $host"; done; } >"$dir/hosts"
    setpriv --pdeathsig KILL unshare --net sleep infinity &
    echo $! >"$dir/switch.pid"
    for _ in $(seq 100); do
      [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/self/ns/net)" ] || break
      sleep 0.01
    done
    at_switch ip link add br0 type bridge stp_state 0 forward_delay 0
    at_switch ip link set br0 up
    for host in "${names[@]}"; do boot "$host"; done
    if [ $slurm = 1 ]; then
      for _ in $(seq 400); do
        idle=$(SLURM_CONF=$dir/slurm/slurm.conf enter n0 -a sinfo -h -N -p main -t idle -o %N 2>/dev/null | wc -l)
        [ "$idle" != "$hosts" ] || break
        sleep 0.05
      done
      [ "$idle" = "$hosts" ] || die "Slurm has $idle of $hosts nodes: $(tail -5 "$dir"/slurm/log/slurm*.log)"
    fi
    echo ready
    while kill -0 "$owner" 2>/dev/null; do sleep 0.3; done
    ;;
  exec)
    host=$1
    shift
    export SLURM_CONF=$dir/slurm/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    is_up "$host" || die "$host is down"
    exec nsenter -t "$(<"$dir/$host.pid")" -n -u -m -p -i -- sh -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
    ;;
  boot)
    owner=$PPID
    boot "$1"
    while is_up "$1" && kill -0 "$owner" 2>/dev/null; do sleep 0.3; done
    ;;
  cut) at_switch ip link set "p${1#n}" down ;;
  mend) at_switch ip link set "p${1#n}" up ;;
  drop) at_switch ip link set "p${1#n}" nomaster ;;
  undrop) at_switch ip link set "p${1#n}" master br0 ;;
  crash) kill_host "$1" ;;
  poweroff) at_switch ip link set "p${1#n}" down && kill_host "$1" ;;
  freeze) for pid in $(all_of "$1"); do enter "$1" -p -m kill -STOP "$pid" 2>/dev/null || true; done ;;
  thaw) for pid in $(all_of "$1"); do enter "$1" -p -m kill -CONT "$pid" 2>/dev/null || true; done ;;
  rate)
    for side in "enter $1 -n tc qdisc" "at_switch tc qdisc"; do
      device=e0
      [ "${side%% *}" = enter ] || device=p${1#n}
      $side del dev $device root 2>/dev/null || true
      [ "$2" = off ] || $side add dev $device root tbf rate "$2" burst 256kb latency 20ms
    done
    ;;
  hide) enter "$1" -m mount -t tmpfs tmpfs "$2" ;;
  strays)
    enter "$1" -p -m bash -c '
      ps -eo pid=,args= | awk "NR == FNR {own[\$1] = 1; next} !(\$1 in own)" /run/bed-own - |
        grep -vE "ps -eo pid=,args=|awk NR ==|NR == FNR|sleep 100000|sshd: |bed-own| slurmstepd infinity| slurm(d|scriptd)$" || true
      ls /dev/shm | sed "s,^,/dev/shm/,"'
    ;;
  *) die "unknown verb $verb" ;;
esac
