# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What up and down share: where things are, what runs, how to start and stop it. Sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state=${PICKET_STATE:-$top/build/local}
case $state in /*) ;; *) state=$PWD/$state ;; esac
http_port=${PICKET_HTTP_PORT:-8420}
mqtt_port=${PICKET_MQTT_PORT:-8883}
agent_port=${PICKET_AGENT_PORT:-8421}
node_exporter_port=${PICKET_NODE_EXPORTER_PORT:-9100}
tenant=demo
agent=edge-1
aggregator_name=picket-aggregator
reader=$tenant/reader

started=$SECONDS
say() { printf '[%3ds] %s\n' $((SECONDS - started)) "$*"; }
fail() {
  printf '\n%s: %s\n' "$(basename "$0")" "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# pid_of NAME: the process that we started under that name, if it still runs. A pid alone proves nothing, as it may
# have been given to another process since: the time the process began is kept beside it.
began() { awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }
pid_of() {
  local pid since
  { read -r pid since <"$state/run/$1.pid"; } 2>/dev/null || return 1
  [ -n "$since" ] && [ "$(began "$pid")" = "$since" ] || return 1
  printf '%s' "$pid"
}

# taken PORT: something listens there.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# must_be_free NAME PORT VARIABLE: or say how to choose another.
must_be_free() {
  ! taken "$2" || fail "port $2, meant for $1, is taken by another program." \
    "Choose another: $3=$((($2 + 1000) % 60000)) $0" "or see who has it: ss -ltnp 'sport = :$2'"
}

# http PATH [curl arguments]: GET from the aggregator, or fail.
http() { local path=$1; shift; curl -fsS --max-time 5 "$@" "http://127.0.0.1:$http_port$path"; }

# stop NAME: ask, wait up to 20 s, then insist. Returns 1 when it did not run.
stop() {
  local pid tries=0
  if ! pid=$(pid_of "$1"); then rm -f "$state/run/$1.pid"; return 1; fi
  kill -TERM "$pid" 2>/dev/null || true
  while pid_of "$1" >/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
    if [ $tries -eq 200 ]; then
      say "$1 does not end by itself; killing it"
      kill -KILL "$pid" 2>/dev/null || true
    fi
    [ $tries -lt 250 ] || return 0
  done
  rm -f "$state/run/$1.pid"
}

# start NAME PORT VARIABLE FILE... -- command...: run it in the background unless it already runs as asked. The files
# decide how it runs (program, configuration): when one of them has changed, it is started anew.
start() {
  local name=$1 port=$2 variable=$3 pid sum files=()
  shift 3
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  sum=$({ cat "${files[@]}"; printf '%s\n' "$@"; } | sha256sum | cut -c1-32)
  if pid=$(pid_of "$name"); then
    if [ "$(cat "$state/run/$name.stamp" 2>/dev/null)" = "$sum" ]; then
      say "$name: runs already (pid $pid)"
      return 0
    fi
    say "$name: program or configuration changed; starting it anew"
    stop "$name" || true
  fi
  must_be_free "$name" "$port" "$variable"
  # No variable of ours reaches the program: PICKET_... would override its settings.
  env -i PATH="$PATH" HOME="${HOME:-/}" LANG=C.UTF-8 TZ="${TZ-}" setsid "$@" >>"$state/log/$name.log" 2>&1 </dev/null 8>&- &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(began "$pid")" >"$state/run/$name.pid"
  printf '%s\n' "$sum" >"$state/run/$name.stamp"
  local tries=0
  until taken "$port"; do
    sleep 0.1
    tries=$((tries + 1))
    if ! pid_of "$name" >/dev/null || [ $tries -gt 300 ]; then
      tail -n 15 "$state/log/$name.log" >&2
      stop "$name" || true
      fail "$name did not come up on port $port (its last lines are above, all of them in $state/log/$name.log)." \
        "Mend what they say and run $0 again."
    fi
  done
  say "$name: started (pid $pid, port $port)"
}
