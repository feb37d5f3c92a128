# Counts the pictures that FlightGear has drawn, so that a recorder can tell a new one from an old.
setprop("/unclip/frame", 0);
setlistener("/sim/signals/frame", func {
    setprop("/unclip/frame", getprop("/unclip/frame") + 1);
}, 0, 1);
