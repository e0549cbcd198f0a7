"""Users of the admin API, their sessions, sign-ins that failed, and links for the first set-up.

    users        the users, changes to them, and the rule that one admin must stay
    sessions     who is signed in
    failures     who has to wait before the next attempt to sign in
    setup_links  one-time links with which the first user is made

What must agree with what other rows say (a name is free, an admin is left, an attempt is counted)
is done in one transaction after `users.serialize`, so that several processes decide one after the
other. Times are microseconds since 1970 and are given by the caller.
"""
