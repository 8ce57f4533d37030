#!/bin/sh
# Starts the gateway under the Node it was tested with. It replaces itself (exec), so signals, exit codes and memory
# are the gateway's own. Needs no PATH in an unpacked package.
#
#   package   bin/sluice  bin/node  lib/sluice.mjs
#   npm       build/sluice  build/sluice.mjs  ../node_modules/node-linux-*/bin/node  (or beside us, hoisted)

self=$0
while [ -L "$self" ]; do self=$(readlink -f "$self") || exit 1; done
case $self in */*) here=${self%/*} ;; *) here=. ;; esac

if [ -e "$here/../lib/sluice.mjs" ]; then
  program=$here/../lib/sluice.mjs
  node=$here/node
else
  program=$here/sluice.mjs
  case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch=none ;; esac
  node=$here/../node_modules/node-linux-$arch/bin/node
  [ -x "$node" ] || node=$here/../../node-linux-$arch/bin/node
  if ! [ -x "$node" ]; then
    node=$(command -v node) || { echo "sluice: no node found: install node-linux-$arch or Node >= 22.18" >&2; exit 1; }
    "$node" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 18) ? 0 : 1)' ||
      { echo "sluice: $node is too old: install node-linux-$arch or Node >= 22.18" >&2; exit 1; }
  fi
fi

# The JavaScript heap in MiB: memory_limit, and 32 for code, the runtime's own and garbage. A limit written otherwise than
# as a whole number of MiB or GiB, in a line of its own, leaves V8 its default.
heap_mib() {
  command -v sed grep >/dev/null || return 0
  file='' before=''
  for word do
    case $before:$word in --config:*) file=$word ;; *:--config=*) file=${word#--config=} ;; esac
    before=$word
  done
  said=$(sed -n 's/^ *"\{0,1\}memory_limit"\{0,1\} *: *["'\'']\{0,1\}\([0-9]*\) \{0,1\}\([MG]iB\).*/\1 \2/p' "$file" 2>/dev/null)
  case $said in
    *' MiB') echo $((${said% *} + 32)) ;;
    *' GiB') echo $((${said% *} * 1024 + 32)) ;;
    *) grep -q '^[^#]*memory_limit' "$file" 2>/dev/null || echo 48 ;;
  esac
}

# What each of these gains is in bench/README.md.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-131072}"
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-131072}"
heap=''
[ "${1:-}" != run ] || heap=$(heap_mib "$@")
exec "$node" --max-semi-space-size=1 --no-maglev --invocation-count-for-turbofan=20000 \
  --max-inlined-bytecode-size-cumulative=2000 \
  ${heap:+"--max-old-space-size=$heap"} "$program" "$@"
