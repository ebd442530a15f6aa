"""Running the whole stack from one command: servers and roles as child processes, kept alive and stopped in order.

stack      what is started when, and stopped when
keeper     one program, started again when it ends
restarts   how soon, and when that is given up
additions  what a profile adds, which the stack goes on without
full       the profile that adds all there is
ports      on which ports the programs listen
roles      our own processes: their command, environment and readiness
record     what others must know of a running stack: its lock, addresses and processes
output     the log lines of all of them on one terminal
"""
