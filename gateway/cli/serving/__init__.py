"""What `gateway serve` is made of.

loading     the configuration that is served, for whoever serves it
one         a process that serves: the only one, or a worker
several     the supervisor of workers
trial       whether the code that is now on disk can serve
handover    what a supervisor hands to the program that it becomes
succession  how it becomes that
rehearsal   whether it could
"""
