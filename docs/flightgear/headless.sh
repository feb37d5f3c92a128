#!/bin/bash
# FlightGear on a virtual screen, for recording without anybody watching.
#
#     docs/flightgear/headless.sh start     says what to put before `cli capture sweep ...`
#     docs/flightgear/headless.sh stop
#
# Settings, each with its default:
#     SCREEN=:90   PORT=5480   WIDTH=512   HEIGHT=512
#     STATE=${TMPDIR:-/tmp}/unclip-flightgear-$(id -u)     for this user alone: logs, process numbers,
#         the game's own settings, and the authority file that keeps other users off the screen
#     MESA=        a folder with a newer Mesa unpacked into it (see docs/flightgear.md)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
SCREEN=${SCREEN:-:90} PORT=${PORT:-5480} WIDTH=${WIDTH:-512} HEIGHT=${HEIGHT:-512} MESA=${MESA:-}
STATE=${STATE:-${TMPDIR:-/tmp}/unclip-flightgear-$(id -u)}
umask 077

check_state() {  # in a folder that others can write to, somebody else may have been here first
    if [ -L "$STATE" ] || [ ! -d "$STATE" ] || [ ! -O "$STATE" ]; then
        echo "STATE=$STATE is a link, no folder, or somebody else's. Choose another." >&2
        exit 1
    fi
    if [ -n "$(find "$STATE" -maxdepth 0 -perm /077)" ]; then
        echo "STATE=$STATE is open to other users. Close it (chmod 700), or choose another." >&2
        exit 1
    fi
}

end() {  # end NAME PROGRAM: only the process whose number was written down here, if it is still it
    [ -s "$STATE/$1.pid" ] || return 0
    number=$(cat "$STATE/$1.pid")
    case $number in '' | *[!0-9]*) return 0 ;; esac
    rm -f "$STATE/$1.pid"
    runs() { [ "$(ps -o comm= -p "$number")" = "$1" ]; }
    if runs "$2"; then kill "$number"; fi
    for _ in $(seq 40); do runs "$2" || return 0; sleep .25; done
    kill -9 "$number"
}

use_mesa() {
    [ -n "$MESA" ] || return 0
    library=$(find "$MESA" -name 'libGLX_mesa.so.0' | head -n 1)
    [ -n "$library" ] || { echo "No libGLX_mesa.so.0 below MESA=$MESA" >&2; exit 1; }
    libraries=$(dirname "$(realpath "$library")")
    export LD_LIBRARY_PATH=$libraries LIBGL_DRIVERS_PATH=$libraries/dri
}

text() {  # text WORDS: their length in two bytes, then the words, as an authority file has them
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((${#1} / 256)))\\$(printf %o $((${#1} % 256)))"
    printf %s "$1"
}

make_authority() {  # a cookie for this machine's name, and one for whatever its name is
    head -c 16 /dev/urandom >"$STATE/cookie"
    {
        printf '\001\000' && text "$(uname -n)" && text "${SCREEN#:}"
        text MIT-MAGIC-COOKIE-1 && printf '\000\020' && cat "$STATE/cookie"
        printf '\377\377' && text "" && text "${SCREEN#:}"
        text MIT-MAGIC-COOKIE-1 && printf '\000\020' && cat "$STATE/cookie"
    } >"$STATE/authority"
    rm -f "$STATE/cookie"
}

start_screen() {
    door=/tmp/.X11-unix/X${SCREEN#:}
    if [ -e "$door" ]; then
        echo "SCREEN=$SCREEN is taken: $door exists. Choose another." >&2
        exit 1
    fi
    make_authority
    setsid Xvfb "$SCREEN" -auth "$STATE/authority" -screen 0 "${WIDTH}x${HEIGHT}x24" \
        +extension GLX -nolisten tcp -noreset >"$STATE/screen.log" 2>&1 &
    echo $! >"$STATE/screen.pid"
    for _ in $(seq 100); do [ -S "$door" ] && return; sleep .1; done
    echo "No virtual screen $SCREEN: see $STATE/screen.log" >&2
    exit 1
}

start_game() {
    export DISPLAY=$SCREEN XAUTHORITY=$STATE/authority LIBGL_ALWAYS_SOFTWARE=1
    export HOME=$STATE/home XDG_RUNTIME_DIR=$STATE/run
    mkdir -p "$HOME/.fgfs/Nasal" "$XDG_RUNTIME_DIR"
    cp "$here/unclip.nas" "$HOME/.fgfs/Nasal/"
    PATH=$PATH:/usr/games
    # shellcheck disable=SC2016  # for the inner shell
    setsid dbus-run-session -- sh -c 'echo $$ >"$0"; exec "$@"' "$STATE/game.pid" fgfs \
        --fg-aircraft="$here/aircraft" --aircraft=unclip --fdm=null \
        --airport=BIKF --in-air --altitude=3000 --vc=100 --enable-freeze \
        --geometry="${WIDTH}x${HEIGHT}" --telnet=_,_,60,_,"$PORT",_ \
        --start-date-gmt=2024:06:21:12:00:00 \
        --disable-sound --disable-ai-traffic --disable-ai-models \
        --disable-real-weather-fetch --disable-clouds3d --disable-random-objects \
        --prop:/sim/menubar/visibility=false --prop:/sim/startup/save-on-exit=false \
        --prop:/sim/rendering/shaders/custom-settings=true \
        --prop:/sim/rendering/shaders/skydome=true --prop:/sim/rendering/shaders/model=0 \
        --prop:/sim/rendering/als-filters/use-filtering=true \
        --prop:/sim/rendering/multithreading-mode=SingleThreaded \
        --disable-random-buildings --disable-random-vegetation || echo "fgfs ended with status $?"
}

wait_for_game() {
    for _ in $(seq 300); do
        (: >"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && return
        if [ -s "$STATE/game.pid" ] && ! kill -0 "$(cat "$STATE/game.pid")" 2>/dev/null; then break; fi
        sleep 1
    done
    echo "FlightGear did not start: see $STATE/game.log" >&2
    exit 1
}

case ${1:-} in
    start)
        mkdir -p "$(dirname "$STATE")"
        mkdir "$STATE" 2>/dev/null || true
        check_state
        end game fgfs
        end screen Xvfb
        use_mesa
        start_screen
        start_game >"$STATE/game.log" 2>&1 &
        wait_for_game
        echo "FlightGear runs on port $PORT; log: $STATE/game.log. Put before cli capture sweep:"
        echo "DISPLAY=$SCREEN XAUTHORITY=$STATE/authority"
        ;;
    stop)
        [ -e "$STATE" ] || [ -L "$STATE" ] || exit 0
        check_state
        end game fgfs
        end screen Xvfb
        rm -f "$STATE/authority"
        ;;
    *)
        echo "usage: $0 start|stop" >&2
        exit 2
        ;;
esac
