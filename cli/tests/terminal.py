"""Runs a program on a terminal of its own and types what it is told to, one line for each question.

    python terminal.py 'ANSWER\\nANSWER\\n' PROGRAM ARGUMENT...

An answer is typed when a question is there (a line that has not ended). A byte 4 is the end of input. Writes what the terminal
showed, and ends as the program did.
"""

import os
import pty
import select
import signal
import sys

answers = sys.argv[1].encode().decode("unicode_escape").encode().splitlines(keepends=True)
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
while select.select([terminal], [], [], 20)[0]:
    try:
        more = os.read(terminal, 4096)
    except OSError:  # on Linux: nobody holds the other end
        break
    if not more:
        break
    shown += more
    if shown.endswith((b"? ", b"] ")) and answers:
        os.write(terminal, answers.pop(0))
else:
    os.kill(pid, signal.SIGKILL)  # it asks for more than there is
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
