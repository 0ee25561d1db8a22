#!/usr/bin/env bash
# Leaves a Docker daemon that answers, or says why not and returns 1. Source it and call ensure_docker, or run it.
# Safe to repeat and safe when several callers come at once. Starting or installing one needs root.
#   DOCKER_SOCK   where it listens (default /var/run/docker.sock)
#   DOCKERD_ARGS  for a daemon that has to be started. Blocks have no network, so the default makes no bridge;
#                 that also avoids four seconds of waiting for the firewall's lock.

docker_answers() {
  python3 - "$1" <<'PY' 2>/dev/null
import socket, sys
daemon = socket.socket(socket.AF_UNIX)
daemon.settimeout(3)
daemon.connect(sys.argv[1])
daemon.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
sys.exit(b" 200 " not in daemon.recv(200))
PY
}

wait_for_docker() { # socket, seconds, process id or ""
  local tries=$(($2 * 4))
  while ((tries-- > 0)); do
    docker_answers "$1" && return 0
    [ -n "$3" ] && ! kill -0 "$3" 2>/dev/null && return 1
    sleep 0.25
  done
  return 1
}

install_docker() {
  local apt=(apt-get -o DPkg::Lock::Timeout=120)
  "${apt[@]}" update -qq &&
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends docker.io iptables >/dev/null
}

start_docker() { # socket
  local sock=$1 log=${DOCKERD_LOG:-/tmp/dockerd.log} recorded
  if ! command -v dockerd >/dev/null; then
    install_docker || return 1
    wait_for_docker "$sock" 5 "" && return 0 # a service manager may have started it by itself
  fi
  # a recorded number that now belongs to another process would keep the daemon from starting
  recorded=$(cat /var/run/docker.pid 2>/dev/null)
  if [ -n "$recorded" ] && [ "$(cat "/proc/$recorded/comm" 2>/dev/null)" != dockerd ]; then
    rm -f /var/run/docker.pid
  fi
  # 9>&-: the daemon must not inherit the lock, or it would hold it for ever
  # shellcheck disable=SC2086
  setsid nohup dockerd -H "unix://$sock" ${DOCKERD_ARGS---bridge=none --iptables=false} >>"$log" 2>&1 9>&- </dev/null &
  wait_for_docker "$sock" 60 $! && return 0
  echo "ensure_docker: the daemon did not come up; its last words:" >&2
  tail -5 "$log" >&2
  return 1
}

ensure_docker() {
  local sock=${DOCKER_SOCK:-/var/run/docker.sock} result=0
  docker_answers "$sock" && return 0
  if [ "$(id -u)" != 0 ]; then
    echo "ensure_docker: no daemon answers at $sock, and starting one needs root" >&2
    return 1
  fi
  exec 9>/run/ctorrent-ensure-docker.lock
  flock -w 180 9 || return 1
  docker_answers "$sock" || start_docker "$sock" || result=1
  exec 9>&-
  return $result
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  ensure_docker
fi
