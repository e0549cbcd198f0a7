"""What people do from pages: the operations of the admin API, behind forms.

Each is asked about first, on a page of its own that a script shows as a dialog, so that all of it
works without one. What came of it is said on the page that is gone to.

    confirmation   the question: what will happen, and the form that does it
    deployments    drain, enable, reset a breaker
    in_flight      cancel a request
    processes      drain a process or a host, and put it back
    configuration  reload; check a pasted file and compare it
    capturing      capture one key for a while, and stop
    replaying      note that a captured request is sent again
"""
