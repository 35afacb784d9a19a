#!/usr/bin/env bash
# Runs every part of a record on this machine's GPU and puts the record together. Needs the two release binaries, `focus`
# and `ffcm-benches`, and no network. gpu-ci/README.md says how to build and carry them, and how to read what comes out.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: record.sh --out DIR [OPTIONS]

  --out DIR         where the record goes; parts that succeeded there before are kept, so a run can be continued
  --carry DIR       where `focus`, `ffcm-benches` and a file `commit` lie (default: beside this script)
  --parts A,B,…     only these parts; `nets` means all whose name begins with it
  --limit SECONDS   most time for one part (default 540)
  --budget SECONDS  start no part after so much time, and end the one that runs (default: none); run again to continue
  --again           run parts again that succeeded before
  --software        take software Vulkan drivers too, to try this script; such a record says nothing about a GPU
  --tiny            small inputs, to try this script; the times say nothing
  --list            print the names of the parts

Exit codes: 0 all parts ran, or were not possible here and say why; 1 a part failed; 2 usage; 3 a result is wrong.
TEXT
}

carry=$(cd "$(dirname "$0")" && pwd)
out=
only=
limit=540
budget=
again=no
software=no
tiny=

# Every part. Those of a device end in its backend.
parts="doctor
conformance-cpu conformance-cuda conformance-wgpu
memcheck-nets memcheck-focus memcheck-memory memcheck-hash
racecheck-nets racecheck-focus racecheck-memory racecheck-hash
nets-cpu nets-cuda nets-wgpu nets-persistent-cuda nets-local-cuda
nets-large-cpu nets-large-cuda nets-large-persistent-cuda nets-large-local-cuda nets-large-both-cuda
focus-cpu focus-cuda focus-wgpu focus-large-cuda
cusparse-focus cusparse-focus-large
memory-cpu memory-cuda memory-wgpu
hash-cpu hash-cuda hash-wgpu"

wrong_usage() {
    echo "record.sh: $1" >&2
    usage >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --out | --carry | --parts | --limit | --budget)
        [ $# -ge 2 ] || wrong_usage "$1 needs a value"
        case $1 in
        --out) out=$2 ;;
        --carry) carry=$(cd "$2" && pwd) ;;
        --parts) only=$2 ;;
        --limit) limit=$2 ;;
        --budget) budget=$2 ;;
        esac
        shift 2
        ;;
    --again) again=yes && shift ;;
    --software) software=yes && shift ;;
    --tiny) tiny=--tiny && shift ;;
    --list)
        # One name a line, so the list is meant to be split.
        # shellcheck disable=SC2086
        printf '%s\n' $parts
        exit 0
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) wrong_usage "unknown argument $1" ;;
    esac
done
[ -n "$out" ] || wrong_usage "--out is missing"
for number in "$limit" "${budget:-1}"; do
    case $number in
    '' | 0 | *[!0-9]*) wrong_usage "not a number of seconds: $number" ;;
    esac
done

focus=$carry/focus
benches=$carry/ffcm-benches
for program in "$focus" "$benches"; do
    [ -x "$program" ] || wrong_usage "$program is not there or not executable"
done
# The parts' own folder: what is in it is what the record is made of.
work=$out/parts
mkdir -p "$work"

# Whether a part was asked for.
chosen() {
    [ -n "$only" ] || return 0
    local name
    for name in ${only//,/ }; do
        case $1 in "$name" | "$name"-*) return 0 ;; esac
    done
    return 1
}

# Notes what became of a part: `ok`, `failed`, `wrong` for a result that differs, or `not-run`; seconds; and why.
note() {
    printf '%s\n%s\n%s\n' "$2" "$3" "$4" >"$work/$1.status"
    printf '%-26s %-8s %6s s  %s\n' "$1" "$2" "$3" "$4"
}

not_run() {
    # What ran on an earlier day is not unsaid by a device that is missing today.
    if succeeded "$1"; then
        printf '%-26s kept\n' "$1"
    else
        note "$1" not-run 0 "$2"
    fi
}

# Whether a part is there already.
succeeded() {
    [ -e "$work/$1.status" ] && [ "$(head -n 1 "$work/$1.status")" = ok ]
}

# Seconds that the next part may take; nothing if there is no time left.
time_left() {
    local left=$limit
    if [ -n "$budget" ]; then
        local rest=$((budget - SECONDS))
        [ "$rest" -ge "$left" ] || left=$rest
    fi
    [ "$left" -lt 5 ] || echo "$left"
}

# Runs a part: its name, then the command. `{}` stands for the file that its JSON goes to.
run_part() {
    local name=$1 code=0 start left
    shift
    if [ "$again" = no ] && succeeded "$name"; then
        printf '%-26s kept\n' "$name"
        return
    fi
    left=$(time_left)
    if [ -z "$left" ]; then
        not_run "$name" "no time was left; run the script again to continue"
        return
    fi
    rm -f "$work/$name.json"
    start=$SECONDS
    timeout --kill-after=10 "$left" "${@//\{\}/$work/$name.json}" >"$work/$name.out" 2>"$work/$name.err" </dev/null || code=$?
    case $code in
    0) note "$name" ok $((SECONDS - start)) "" ;;
    124 | 137)
        if [ "$left" -lt "$limit" ]; then
            note "$name" not-run $((SECONDS - start)) "cut off by --budget after $left s; run the script again to continue"
        else
            note "$name" failed $((SECONDS - start)) "not done after $left s"
        fi
        ;;
    4) note "$name" not-run $((SECONDS - start)) "$(tail -n 1 "$work/$name.err" | tr '\t' ' ')" ;;
    3) note "$name" wrong $((SECONDS - start)) "$(tail -n 1 "$work/$name.err" | tr '\t' ' ')" ;;
    *) note "$name" failed $((SECONDS - start)) "exit code $code: $(tail -n 1 "$work/$name.err" | tr '\t' ' ')" ;;
    esac
}

# A line of `ffcm-benches devices` for a family, the best one: state, name of the backend, or why there is none.
device_of() {
    awk -F '\t' -v family="$1" -v software="$software" '
        $1 != family && index($1, family ":") != 1 { next }
        $2 == "usable" && ($3 == "hardware" || software == "yes") { print "usable\t" $1; found = 1; exit }
        $2 == "usable" { reason = "only a software driver is here: " $4; next }
        reason == "" { reason = $4 }
        END { if (!found) print "none\t" reason }
    ' "$work/devices"
}

# Runs a part on a family of devices, or says why it cannot: family, name, command behind `ffcm-benches`.
on_device() {
    local family=$1 name=$2 state
    shift 2
    state=$(device_of "$family")
    case $state in
    usable*) run_part "$name" "$benches" "$@" --backend "${state#*	}" --json '{}' ;;
    *) not_run "$name" "${state#*	}" ;;
    esac
}

# compute-sanitizer, where it is installed.
find_sanitizer() {
    local folder
    command -v compute-sanitizer && return
    for folder in "${CUDA_HOME:-/usr/local/cuda}" /usr/local/cuda-*; do
        if [ -x "$folder/bin/compute-sanitizer" ]; then
            echo "$folder/bin/compute-sanitizer"
            return
        fi
    done
}

# A small case of a suite under a tool of compute-sanitizer.
sanitize() {
    local tool=$1 suite=$2 state
    state=$(device_of cuda)
    case $state in
    usable*) ;;
    *)
        not_run "$tool-$suite" "${state#*	}"
        return
        ;;
    esac
    if [ -z "$sanitizer" ]; then
        not_run "$tool-$suite" "compute-sanitizer is not installed"
        return
    fi
    run_part "$tool-$suite" "$sanitizer" --tool "$tool" --error-exitcode 99 --log-file "$work/$tool-$suite.log" \
        "$benches" "$suite" --tiny --backend "${state#*	}" --json '{}'
}

# The rival of π on the same graph: its name, arguments of `ffcm-benches dump`. Wants Python and CuPy; with --software
# NumPy, to try it.
cusparse() {
    local name=$1 state on=
    shift
    state=$(device_of cuda)
    case $state in
    usable*) ;;
    *)
        if [ "$software" = no ]; then
            not_run "$name" "${state#*	}"
            return
        fi
        on=--cpu
        ;;
    esac
    if ! command -v python3 >/dev/null; then
        not_run "$name" "python3 is not installed"
        return
    fi
    # shellcheck disable=SC2016
    run_part "$name" sh -c 'graph=$1 benches=$2 script=$3 json=$4 on=$5; shift 5
        "$benches" dump --out "$graph" "$@" || exit
        python3 "$script" --graph "$graph" --json "$json" $on; code=$?
        rm -r "$graph"; exit $code' cusparse "$work/$name.graph" "$benches" "$carry/cusparse.py" '{}' "$on" "$@"
}

fact() {
    printf '%s\t%s\n' "$1" "$2"
}

sha256_of() {
    sha256sum "$1" | cut -d ' ' -f 1
}

facts() {
    if [ -e "$carry/commit" ]; then
        fact commit "$(head -n 1 "$carry/commit")"
    fi
    fact taken "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    fact system "$(uname -srm)"
    fact "sha256 of focus" "$(sha256_of "$focus")"
    fact "sha256 of ffcm-benches" "$(sha256_of "$benches")"
    [ -z "$tiny" ] || fact inputs tiny
    [ "$software" = no ] || fact drivers software
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm,clocks.max.mem,ecc.mode.current,mig.mode.current \
            --format=csv,noheader 2>&1 | while IFS= read -r line; do fact nvidia-smi "$line"; done
    fi
}

# What all parts of one record share.
identity() {
    sha256_of "$focus"
    sha256_of "$benches"
    echo "inputs $tiny, software drivers $software"
    cat "$work/devices"
}

"$benches" devices >"$work/devices"
if [ -e "$work/identity" ] && ! identity | cmp -s - "$work/identity"; then
    wrong_usage "$out is a record of other binaries, devices or options: take another folder"
fi
identity >"$work/identity"
# A machine that says something odd about itself is still worth a record.
facts >"$work/facts" || echo "record.sh: not all facts about this machine could be read" >&2
sanitizer=$(find_sanitizer || true)
threads=1,$(getconf _NPROCESSORS_ONLN)

for part in $parts; do
    chosen "$part" || continue
    backend=${part##*-}
    # --tiny is one word or none.
    # shellcheck disable=SC2086
    case $part in
    # Its JSON is its output.
    doctor) run_part doctor sh -c "\"\$0\" doctor --json >\"\$1\"" "$focus" '{}' ;;
    conformance-cpu) run_part "$part" "$benches" conformance --json '{}' ;;
    conformance-*) on_device "$backend" "$part" conformance ;;
    memcheck-* | racecheck-*) sanitize "${part%%-*}" "$backend" ;;
    nets-persistent-cuda) on_device cuda "$part" nets --persistent $tiny ;;
    nets-local-cuda) on_device cuda "$part" nets --local $tiny ;;
    nets-large-cpu) run_part "$part" "$benches" nets --larger 3 --threads "$threads" $tiny --json '{}' ;;
    nets-large-cuda) on_device cuda "$part" nets --larger 3 $tiny ;;
    nets-large-persistent-cuda) on_device cuda "$part" nets --larger 3 --persistent $tiny ;;
    nets-large-local-cuda) on_device cuda "$part" nets --larger 3 --local $tiny ;;
    nets-large-both-cuda) on_device cuda "$part" nets --larger 3 --persistent --local $tiny ;;
    # shellcheck disable=SC2086
    cusparse-focus) cusparse "$part" $tiny ;;
    # shellcheck disable=SC2086
    cusparse-focus-large) cusparse "$part" --scale 24 $tiny ;;
    focus-large-cuda) on_device cuda "$part" focus --scale 24 $tiny ;;
    *-cpu) run_part "$part" "$benches" "${part%%-*}" --threads "$threads" $tiny --json '{}' ;;
    *) on_device "$backend" "$part" "${part%%-*}" $tiny ;;
    esac
done

code=0
"$benches" record --from "$work" --out "$out" || code=$?
[ "$code" -eq 0 ] || exit "$code"
if grep -qx failed "$work"/*.status; then
    echo "record.sh: a part failed; the record says which" >&2
    exit 1
fi
