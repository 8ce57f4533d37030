# A serial device behind a pseudo terminal that loses nothing by itself, for tests: before it is unplugged the terminal is
# stopped (what is written then is refused, not buffered) and read to its end. So what it has not heard was not taken.
#
#   pty_device.py LINK LOG [ANSWER]    LINK: where the terminal is to be found; LOG: what was heard; ANSWER: each line is
#                                      answered with ANSWER and the line
# Commands on stdin, each answered with its own name: plug, unplug, read
import os
import selectors
import sys
import termios
import tty

link, log_path = sys.argv[1:3]
answer = sys.argv[3].encode() if len(sys.argv) > 3 else None
log = open(log_path, "ab", buffering=0)
selector = selectors.DefaultSelector()
selector.register(sys.stdin, selectors.EVENT_READ)
master = slave = -1
line = b""


def plug():
    global master, slave, line
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    line = b""
    selector.register(master, selectors.EVENT_READ)
    name = link + ".new"
    os.symlink(os.ttyname(slave), name)
    os.rename(name, link)


def read():
    """All that is there."""
    global line
    while True:
        try:
            chunk = os.read(master, 65536)
        except BlockingIOError:
            return
        log.write(chunk)
        if answer is None:
            continue
        *lines, line = (line + chunk).split(b"\n")
        for whole in lines:
            try:
                os.write(master, answer + whole + b"\n")
            except BlockingIOError:
                pass  # nobody reads it


def unplug():
    global master, slave
    if master < 0:
        return
    termios.tcflow(slave, termios.TCOOFF)
    read()
    selector.unregister(master)
    os.unlink(link)
    os.close(master)
    os.close(slave)
    master = slave = -1


while True:
    for key, _ in selector.select():
        if key.fileobj is not sys.stdin:
            if master >= 0:
                read()
            continue
        word = sys.stdin.readline().strip()
        if word == "":
            sys.exit(0)
        if word == "plug":
            plug()
        elif word == "unplug":
            unplug()
        elif master >= 0:
            read()
        print(word, flush=True)
