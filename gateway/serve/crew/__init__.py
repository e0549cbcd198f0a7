"""Several worker processes behind the same listening sockets, and how they are replaced.

In the order in which to read them:

    member      one worker process, as its supervisor sees it
    crew        all of them: who dies is replaced, and who is to be replaced leaves in good order
    upgrade     one after the other is replaced by the code that is now on disk
    adopted     workers that are kept while the supervisor itself takes up that code
    supervisor  signals, and all of that together

A worker has two pipes. The *lifeline*, whose writing end is the supervisor's: at its end the
supervisor has died, and the worker leaves; RETIRE in it tells that a successor is ready. And the
one on which the worker says that it is ready and of which version, or why it can't be.
"""
